"""The logging error rate, of a policy as its status has it, and of a control plane as its metric has it.

Two counts say what is lost, and neither says all. Probes are a sample of everything on the way, from the API server to
the store; shippers count every record, but only of what they have given up themselves. A share of probes among all
records would be nothing, whatever becomes of them: so each is held against its own, and both are added.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from audit_operator.api.way_figures import WHOLE, part, part_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.proof_observations import PlaceProof
    from audit_operator.api.way_figures import WayFigures


def logging_error_rate(
    proof: PlaceProof | None, sinks: Iterable[ObjectRef], figures: Mapping[ObjectRef, WayFigures]
) -> str:
    """That of the sink with the most errors, rounded up: ``0.02%``; empty where nothing was observed of any.

    Args:
        proof: what probes have shown of the policy's namespaces; None where none is sent.
        sinks: of the policy.
        figures: of the ways to sinks.
    """
    probes = {each.sink: (each.wrong, each.judged) for each in proof.tallies} if proof else {}
    worst = _worst(probes, sinks, figures)
    return part_text(worst) if worst is not None else ""


def error_rates(
    proofs: Mapping[str, Mapping[str, PlaceProof]], figures: Mapping[str, Mapping[ObjectRef, WayFigures]]
) -> dict[str, float]:
    """The same of each control plane, over all its places and sinks, from 0 to 1; absent where nothing was observed.

    Args:
        proofs: what probes have shown, by control plane and place.
        figures: of the ways to sinks, by control plane.
    """
    found: dict[str, float] = {}
    for plane in proofs.keys() | figures.keys():
        wrong, judged = Counter["ObjectRef"](), Counter["ObjectRef"]()
        for proof in proofs.get(plane, {}).values():
            for tally in proof.tallies:
                wrong[tally.sink] += tally.wrong
                judged[tally.sink] += tally.judged
        ways = figures.get(plane, {})
        probes = {sink: (wrong[sink], count) for sink, count in judged.items()}
        worst = _worst(probes, probes.keys() | ways.keys(), ways)
        if worst is not None:
            found[plane] = worst / WHOLE
    return found


def _worst(
    probes: Mapping[ObjectRef, tuple[int, int]], sinks: Iterable[ObjectRef], figures: Mapping[ObjectRef, WayFigures]
) -> int | None:
    """That of the sink with the most errors, in parts of WHOLE; `probes` has those wrong, and judged, by sink."""
    rates = [_rate(probes.get(sink, (0, 0)), figures.get(sink)) for sink in sinks]
    return max((each for each in rates if each is not None), default=None)


def _rate(probes: tuple[int, int], figures: WayFigures | None) -> int | None:
    """Of one sink, in parts of WHOLE."""
    wrong, judged = probes
    lost = figures.lost if figures is not None else None
    if not judged:
        return lost
    # Over a common denominator, so that only the sum is rounded.
    return part(wrong * WHOLE + (lost or 0) * judged, judged * WHOLE)
