"""What live probes have shown, as it stands in the status of policies.

A policy of a namespace speaks of probes in that namespace, a cluster-wide one of all: an action is verified there if it
was somewhere in a sink of that policy and nothing speaks against it anywhere. Of times there is the day alone: a status
with the time of each round would change always.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from audit_operator.api.conditions import ConditionType, Reason
from audit_operator.api.parsing import to_json
from audit_operator.api.policy_status import MAX_ACTIONS, MAX_FINDINGS, Proof, ProofFinding, ProofOutcome
from audit_operator.api.proof_observations import ActionProof, PlaceProof, Tally
from audit_operator.plan.claim import false

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.plan.claim import Claim

_LONGEST = 1024
_WHERE = "in "
_WORST_FIRST = list(ProofOutcome)
_REASONS = {ProofOutcome.CONTRADICTED: Reason.PROBE_CONTRADICTED, ProofOutcome.MISSING: Reason.PROBE_MISSING}
_SPEAKS_AGAINST = frozenset(_REASONS)


@dataclass(slots=True)
class ProofOfPlane:
    """Of one control plane; `places` is None where no probes are sent."""

    places: Mapping[str, PlaceProof] | None
    _everywhere: dict[tuple[ObjectRef, ...], PlaceProof] = field(default_factory=dict)

    def of_policy(self, namespace: str, sinks: tuple[ObjectRef, ...]) -> PlaceProof | None:
        """What a policy of a namespace that ships to these speaks of; with ``""``, a cluster-wide one.

        Other sinks are somebody else's business: a tenant's store that loses records is no word in others' status, and
        one that answers whatever its owner likes proves nothing for others.
        """
        if self.places is None:
            return None
        if namespace:
            return _with(self.places.get(namespace, PlaceProof()), sinks)
        if sinks not in self._everywhere:
            self._everywhere[sinks] = _together({place: _seen_with(each, sinks) for place, each in self.places.items()})
        return self._everywhere[sinks]


def _with(proof: PlaceProof, sinks: tuple[ObjectRef, ...]) -> PlaceProof:
    findings = tuple(each for each in proof.findings if each.sink is None or each.sink in sinks)
    tallies = tuple(each for each in proof.tallies if each.sink in sinks)
    return PlaceProof(proof.verified, findings, tallies, proof.oldest)


def _seen_with(proof: PlaceProof, sinks: tuple[ObjectRef, ...]) -> PlaceProof:
    """The same, with those actions alone that were verified there."""
    known = _with(proof, sinks)
    return replace(known, verified=known.verified & frozenset[str]().union(*(each.verified for each in known.tallies)))


def place_of(message: str) -> str:
    """The namespace that a finding of a cluster-wide policy is about; empty: none is named."""
    place, colon, _ = message.removeprefix(_WHERE).partition(": ")
    return place if message.startswith(_WHERE) and colon else ""


def _together(places: Mapping[str, PlaceProof]) -> PlaceProof:
    found, unproved, verified = list[tuple[int, ActionProof]](), dict[str, ActionProof](), set[str]()
    for place, proof in sorted(places.items()):
        verified |= proof.verified
        nth: Counter[ProofOutcome] = Counter()
        for each in proof.findings:
            if each.outcome is ProofOutcome.UNPROVED:
                unproved.setdefault(each.action, each)
            else:
                where = f"{_WHERE}{place}: " if place else ""
                said = ActionProof(each.action, each.outcome, f"{where}{each.message}", each.sink)
                found.append((nth[each.outcome], said))
                nth[each.outcome] += 1
    verified -= {each.action for _, each in found if each.outcome in _SPEAKS_AGAINST}
    found += [(0, each) for action, each in unproved.items() if action not in verified]
    # By turns: there is room for few, and a place of which much is said must not hide the others.
    found.sort(key=lambda each: (_WORST_FIRST.index(each[1].outcome), each[0]))
    oldest = min((each.oldest for each in places.values() if each.oldest is not None), default=None)
    return PlaceProof(frozenset(verified), tuple(each for _, each in found), tuple(_added(places.values())), oldest)


def _added(places: Iterable[PlaceProof]) -> Iterator[Tally]:
    judged: Counter[ObjectRef] = Counter()
    wrong: Counter[ObjectRef] = Counter()
    for proof in places:
        for each in proof.tallies:
            judged[each.sink] += each.judged
            wrong[each.sink] += each.wrong
    for sink in sorted(judged, key=str):
        yield Tally(sink, judged[sink], wrong[sink])


def proof_json(proof: PlaceProof) -> dict[str, Any]:
    """The fields of `status.coverage` that are about it."""

    def actions(outcome: ProofOutcome) -> list[str]:
        return sorted({each.action for each in proof.findings if each.outcome is outcome})

    contradicted, missing = actions(ProofOutcome.CONTRADICTED), actions(ProofOutcome.MISSING)
    said = Proof(
        contradicted=len(contradicted),
        missing=len(missing),
        unproved=len(actions(ProofOutcome.UNPROVED)),
        oldest=proof.oldest.isoformat() if proof.oldest is not None else "",
        findings=tuple(
            ProofFinding(
                action=each.action,
                outcome=each.outcome,
                sink=str(each.sink) if each.sink else "",
                message=each.message[:_LONGEST],
            )
            for each in proof.findings[:MAX_FINDINGS]
        ),
        verified_actions=tuple(sorted(proof.verified)[:MAX_ACTIONS]),
        contradicted_actions=tuple(contradicted[:MAX_ACTIONS]),
        missing_actions=tuple(missing[:MAX_ACTIONS]),
    )
    return {"verified": len(proof.verified), "proof": to_json(said)}


def proof_claim(proof: PlaceProof | None) -> Claim | None:
    """What probes say against `Shipping`; None if nothing."""
    against = [each for each in (proof.findings if proof else ()) if each.outcome in _SPEAKS_AGAINST]
    if not against:
        return None
    first = against[0]
    said = f"{first.sink}: probe of {first.action}: {first.message[:_LONGEST]}{_more(len(against) - 1)}"
    return false(ConditionType.SHIPPING, _REASONS[first.outcome], said)


def _more(count: int) -> str:
    """In steps: of a sink that is broken, each namespace finds out in a round of its own, and each would be written."""
    return f" (and at least {10 ** (len(str(count)) - 1)} more: see coverage.proof)" if count else ""
