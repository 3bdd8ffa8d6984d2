"""What live probes have shown, as it stands in the status of policies.

A policy of a namespace speaks of probes in that namespace, a cluster-wide one of all: an action is verified there if it
was somewhere and nothing speaks against it anywhere. Times are in the metrics: a status that has them changes always.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.api.conditions import ConditionType, Reason
from audit_operator.api.parsing import to_json
from audit_operator.api.policy_status import MAX_FINDINGS, Proof, ProofFinding, ProofOutcome
from audit_operator.api.proof_observations import ActionProof, PlaceProof
from audit_operator.plan.claim import false

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.plan.claim import Claim

_LONGEST = 1024
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

        Other sinks are somebody else's business: a tenant's store that loses records is no word in others' status.
        """
        if self.places is None:
            return None
        if namespace:
            return _with(self.places.get(namespace, PlaceProof()), sinks)
        if sinks not in self._everywhere:
            self._everywhere[sinks] = _together({place: _with(each, sinks) for place, each in self.places.items()})
        return self._everywhere[sinks]


def _with(proof: PlaceProof, sinks: tuple[ObjectRef, ...]) -> PlaceProof:
    findings = tuple(each for each in proof.findings if each.sink is None or each.sink in sinks)
    return PlaceProof(proof.verified, findings)


def _together(places: Mapping[str, PlaceProof]) -> PlaceProof:
    found, unproved, verified = list[ActionProof](), dict[str, ActionProof](), set[str]()
    for place, proof in sorted(places.items()):
        verified |= proof.verified
        for each in proof.findings:
            if each.outcome is ProofOutcome.UNPROVED:
                unproved.setdefault(each.action, each)
            else:
                where = f"in {place}: " if place else ""
                found.append(ActionProof(each.action, each.outcome, f"{where}{each.message}", each.sink))
    verified -= {each.action for each in found if each.outcome in _SPEAKS_AGAINST}
    found += [each for action, each in unproved.items() if action not in verified]
    found.sort(key=lambda each: _WORST_FIRST.index(each.outcome))
    return PlaceProof(frozenset(verified), tuple(found))


def proof_json(proof: PlaceProof) -> dict[str, Any]:
    """The fields of `status.coverage` that are about it."""

    def actions(outcome: ProofOutcome) -> int:
        return len({each.action for each in proof.findings if each.outcome is outcome})

    said = Proof(
        contradicted=actions(ProofOutcome.CONTRADICTED),
        missing=actions(ProofOutcome.MISSING),
        unproved=actions(ProofOutcome.UNPROVED),
        findings=tuple(
            ProofFinding(
                action=each.action,
                outcome=each.outcome,
                sink=str(each.sink) if each.sink else "",
                message=each.message[:_LONGEST],
            )
            for each in proof.findings[:MAX_FINDINGS]
        ),
    )
    return {"verified": len(proof.verified), "proof": to_json(said)}


def proof_claim(proof: PlaceProof | None) -> Claim | None:
    """What probes say against `Shipping`; None if nothing."""
    against = [each for each in (proof.findings if proof else ()) if each.outcome in _SPEAKS_AGAINST]
    if not against:
        return None
    first = against[0]
    more = f" (and {len(against) - 1} more: see coverage.proof)" if len(against) > 1 else ""
    said = f"{first.sink}: probe of {first.action}: {first.message}{more}"
    return false(ConditionType.SHIPPING, _REASONS[first.outcome], said)
