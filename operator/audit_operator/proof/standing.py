"""What is known of every action at one place, from the last that was found of each request in each sink."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from audit_operator.api.policy_status import ProofOutcome
from audit_operator.api.proof_observations import ActionProof, PlaceProof, Tally
from audit_operator.proof.comparison import Compared, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from audit_operator.api.findings import ObjectRef
    from audit_operator.proof.requests import Aim
    from audit_operator.proof.selecting import Selection

_SAID = {
    Outcome.CONTRADICTED: ProofOutcome.CONTRADICTED,
    Outcome.MISSING: ProofOutcome.MISSING,
    Outcome.UNKNOWN: ProofOutcome.UNKNOWN,
}
_WORST_FIRST = list(ProofOutcome)
JUDGED = (Outcome.VERIFIED, Outcome.CONTRADICTED, Outcome.MISSING)
"""Of what could be looked for, and was there as predicted, or was not."""


@dataclass(frozen=True, slots=True)
class Result:
    """Of one request: what was found in each sink, or why nothing can be expected there.

    Attributes:
        sinks: what came of it by sink; a sentence where a sink could not be asked.
        trouble: why it was not sent as it should be; empty where it was.
        at: when it was sent, in seconds since the epoch.
    """

    sinks: Mapping[ObjectRef, Compared | str]
    trouble: str = ""
    at: float = 0.0


def standing(selection: Selection, results: Mapping[Aim, Result], patience: float) -> PlaceProof:
    """Every action of the selection of which all requests have a result; `patience` is how long records had, in s."""
    verified, findings = set[str](), list[ActionProof]()
    for action, aims in selection.aims.items():
        known = [(aim, results[aim]) for aim in aims if aim in results]
        said = [finding for aim, result in known for finding in _findings(action, aim, result, patience)]
        findings += said
        if len(known) == len(aims) and all(each.outcome is ProofOutcome.FOREIGN for each in said):
            verified.add(action)
    for action, why in selection.unproved.items():
        findings.append(ActionProof(action, ProofOutcome.UNPROVED, why.message))
    findings.sort(key=lambda each: (_WORST_FIRST.index(each.outcome), each.action, str(each.sink), each.message))
    sent = [each.at for each in results.values() if not each.trouble]
    oldest = datetime.fromtimestamp(min(sent), UTC).date() if sent else None
    proved = {action: [results[aim] for aim in selection.aims[action]] for action in verified}
    return PlaceProof(frozenset(verified), tuple(findings), tuple(_tallies(results.values(), proved)), oldest)


def _tallies(results: Iterable[Result], proved: Mapping[str, Iterable[Result]]) -> Iterator[Tally]:
    judged: Counter[ObjectRef] = Counter()
    wrong: Counter[ObjectRef] = Counter()
    for result in results:
        for sink, compared in result.sinks.items():
            if isinstance(compared, Compared) and compared.outcome in JUDGED:
                judged[sink] += 1
                wrong[sink] += compared.outcome is not Outcome.VERIFIED
    for sink in sorted(judged, key=str):
        there = {action for action, found in proved.items() if any(sink in each.sinks for each in found)}
        yield Tally(sink, judged[sink], wrong[sink], frozenset(there))


def _findings(action: str, aim: Aim, result: Result, patience: float) -> Iterator[ActionProof]:
    what = aim.description
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
            yield ActionProof(action, _SAID[compared.outcome], f"{what}: {_sentence(compared, patience)}", sink)
        if compared.strangers:
            said = f"{what}: a record of another request has the Audit-ID of a probe, which somebody must have read"
            yield ActionProof(action, ProofOutcome.FOREIGN, said, sink)


def _sentence(compared: Compared, patience: float) -> str:
    match compared.outcome:
        case Outcome.CONTRADICTED:
            return f"{compared.field}: predicted {compared.predicted}, found {compared.found}"
        case Outcome.MISSING:
            return f"predicted records at {compared.predicted}, found {compared.found} within {patience:g} s"
        case Outcome.UNKNOWN if compared.field:
            found = f"predicted records at {compared.predicted}, found {compared.found}"
            return f"{found}, but the store has more than could be read"
        case _:
            return "nothing is to be recorded and nothing was found, but not all else that was sent was found either"


def share(aims: Sequence[Aim], most: int, turn: int) -> tuple[Aim, ...]:
    """As many as may be sent at one visit, others at the next, so that all have their turn."""
    if len(aims) <= most:
        return tuple(aims)
    first = turn * most % len(aims)
    return tuple((*aims[first:], *aims[:first])[:most])


def most_at_once(places: int, per_second: float, within: float = 86_400.0) -> int:
    """How many requests one visit may have so that every place is visited within that many seconds; at least one."""
    return max(1, int(per_second * within / max(places, 1)))
