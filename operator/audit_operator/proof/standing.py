"""What is known of every action at one place, from the last that was found of each request in each sink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.policy_status import ProofOutcome
from audit_operator.api.proof_observations import ActionProof, PlaceProof
from audit_operator.proof.comparison import Compared, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from audit_operator.api.findings import ObjectRef
    from audit_operator.proof.requests import Aim
    from audit_operator.proof.selecting import Selection

_SAID = {
    Outcome.CONTRADICTED: ProofOutcome.CONTRADICTED,
    Outcome.MISSING: ProofOutcome.MISSING,
    Outcome.UNKNOWN: ProofOutcome.UNKNOWN,
}
_WORST_FIRST = list(ProofOutcome)


@dataclass(frozen=True, slots=True)
class Result:
    """Of one request: what was found in each sink, or why nothing can be expected there.

    Attributes:
        sinks: what came of it by sink; a sentence where a sink could not be asked.
        trouble: why it was not sent as it should be; empty where it was.
    """

    sinks: Mapping[ObjectRef, Compared | str]
    trouble: str = ""


def standing(selection: Selection, results: Mapping[Aim, Result]) -> PlaceProof:
    """Every action of the selection of which all requests have a result."""
    verified, findings = set[str](), list[ActionProof]()
    for action, aims in selection.aims.items():
        known = [(aim, results[aim]) for aim in aims if aim in results]
        said = [finding for aim, result in known for finding in _findings(action, aim, result)]
        findings += said
        if len(known) == len(aims) and all(each.outcome is ProofOutcome.FOREIGN for each in said):
            verified.add(action)
    for action, why in selection.unproved.items():
        findings.append(ActionProof(action, ProofOutcome.UNPROVED, why.message))
    findings.sort(key=lambda each: (_WORST_FIRST.index(each.outcome), each.action, str(each.sink), each.message))
    return PlaceProof(frozenset(verified), tuple(findings))


def _findings(action: str, aim: Aim, result: Result) -> Iterator[ActionProof]:
    what = f"{aim.operation.verb} {aim.operation.target}"
    if result.trouble:
        yield ActionProof(action, ProofOutcome.UNKNOWN, f"{what}: {result.trouble}")
        return
    if not result.sinks:
        yield ActionProof(action, ProofOutcome.UNPROVED, f"{what}: its records go to no sink")
    for sink, compared in result.sinks.items():
        if isinstance(compared, str):
            yield ActionProof(action, ProofOutcome.UNKNOWN, f"{what}: {compared}", sink)
            continue
        if compared.outcome in _SAID:
            yield ActionProof(action, _SAID[compared.outcome], f"{what}: {_sentence(compared)}", sink)
        if compared.strangers:
            said = f"{what}: a record of another request has the Audit-ID of a probe, which somebody must have read"
            yield ActionProof(action, ProofOutcome.FOREIGN, said, sink)


def _sentence(compared: Compared) -> str:
    match compared.outcome:
        case Outcome.CONTRADICTED:
            return f"{compared.field}: predicted {compared.predicted}, found {compared.found}"
        case Outcome.MISSING:
            return f"predicted records at {compared.predicted}, found {compared.found} in time"
        case _:
            return "nothing is to be recorded and nothing was found, but nothing else that was sent later either"


def share(aims: Sequence[Aim], most: int, turn: int) -> tuple[Aim, ...]:
    """As many as may be sent at one visit, others at the next, so that all have their turn."""
    if len(aims) <= most:
        return tuple(aims)
    first = turn * most % len(aims)
    return tuple((*aims[first:], *aims[:first])[:most])


def most_at_once(places: int, per_second: float, within: float = 86_400.0) -> int:
    """How many requests one visit may have so that every place is visited within that many seconds; at least one."""
    return max(1, int(per_second * within / max(places, 1)))
