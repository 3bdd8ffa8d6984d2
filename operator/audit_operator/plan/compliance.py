"""What the statuses of our objects are evidence of, as facts that controls are judged on.

A status is evidence only of the generation that it speaks about. What it says was not asked, or not yet seen, was not
observed; and that an API server does not run a policy yet says nothing about what it does run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from audit_operator.api.conditions import ConditionStatus, ConditionType, Reason
from audit_operator.api.control_plane import Driver, Log
from audit_operator.api.policy_status import MAX_FINDINGS
from audit_operator.api.sink import ClusterAuditSink
from audit_operator.compliance.controls import EvidenceKind
from audit_operator.compliance.facts import Facts, LiveProof, Observation, Shown, Standing
from audit_operator.plan.proof_status import place_of
from audit_operator.retention.demand import Wish

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.api.findings import ObjectRef
    from audit_operator.coverage.verdicts import Coverage
    from audit_operator.plan.sinks import Sink, Sinks

    Policy = AuditPolicy | ClusterAuditPolicy

Status = dict[str, Any]
_NOT_SEEN_YET = frozenset({Reason.PENDING, Reason.NOT_VERIFIED, Reason.VERIFY_OVERDUE})
"""Reasons for which a condition is false, and nothing is known to be wrong."""
_ACCESSES = {
    EvidenceKind.READERS: ("readers", "may read what was recorded"),
    EvidenceKind.WRITERS: ("writers", "may decide what is recorded"),
    EvidenceKind.DISABLERS: ("canDisable", "may switch auditing off"),
}
_LOG = {
    EvidenceKind.LOG_AGE: ("max_age", "--audit-log-maxage", 30),
    EvidenceKind.LOG_FILES: ("max_backup", "--audit-log-maxbackup", 10),
    EvidenceKind.LOG_SIZE: ("max_size", "--audit-log-maxsize", 100),
}
"""Source: CIS Kubernetes Benchmark 1.2.17 to 1.2.19, as kube-bench has them (cfg/cis-1.11/master.yaml)."""
_LISTED = {LiveProof.CONTRADICTED: "contradictedActions", LiveProof.MISSING: "missingActions"}

_SPEAKS_AGAINST = frozenset(each.value for each in _LISTED)


@dataclass(frozen=True, slots=True)
class Said:
    """What statuses say.

    Attributes:
        statuses: by object; one that is absent was not written, or not read.
        sinks: the sinks that there are, and whom they admit.
    """

    statuses: Mapping[ObjectRef, Status]
    sinks: Sinks

    def facts(
        self, namespace: str, coverage: Coverage | None, policies: Iterable[Policy], plane: AuditControlPlane | None
    ) -> Facts:
        """What is known of a namespace, or for ``""`` of the cluster, by the policies that answer for it."""
        policies = tuple(policies)
        usable = {each.ref: self.sinks.of_policy(each)[0] for each in policies}
        observed = {
            EvidenceKind.IN_FORCE: tuple(self._in_force(each) for each in policies),
            EvidenceKind.DELIVERED: tuple(self._condition(each, ConditionType.SHIPPING) for each in policies),
            EvidenceKind.RETAINED: tuple(line for each in policies for line in self._retained(each)),
            EvidenceKind.EXPIRES: tuple(line for each in policies for line in self._expires(each)),
            EvidenceKind.SEALED: tuple(
                self._sealed(self.sinks.existing[sink])
                for sink in sorted({sink for each in usable.values() for sink in each}, key=str)
            ),
            EvidenceKind.FIELDS: tuple(self._fields(each) for each in policies),
            **(self._of_plane(plane) if plane is not None else {}),
        }
        wishes = [_wish(each) for each in policies if usable[each.ref]]
        asked = (min(each.minimum for each in wishes), min(each.hot for each in wishes)) if wishes else None
        return Facts(namespace, coverage, observed, asked, self._shown(namespace, policies))

    def _status(self, about: Policy | Sink | AuditControlPlane) -> Status:
        """The status of an object, if it speaks about its present spec."""
        status = self.statuses.get(about.ref, {})
        return status if status.get("observedGeneration") == about.metadata.generation else {}

    def _shown(self, namespace: str, policies: tuple[Policy, ...]) -> dict[str, Shown]:
        """What live probes have shown of each action: the worst that one of these policies says of it.

        A cluster-wide policy says what was verified anywhere, which proves nothing of one namespace; and of what it
        says against an action, a namespace is concerned by what was found there, or may have been.
        """
        shown: dict[str, Shown] = {}
        for each in policies:
            if each.metadata.namespace != namespace:
                continue
            proof = self._status(each).get("coverage", {}).get("proof", {})
            for action in proof.get("verifiedActions", ()):
                shown.setdefault(action, Shown(LiveProof.VERIFIED, seen=proof.get("oldest", "")))
        proofs = [(each, self._status(each).get("coverage", {}).get("proof", {})) for each in policies]
        elsewhere = [(each, proof) for each, proof in proofs if each.metadata.namespace != namespace]
        for each, proof in elsewhere:
            said = f"a live probe speaks against it, and {each.ref} does not say in which namespaces"
            shown |= dict.fromkeys(_somewhere(proof), Shown(LiveProof.CLAIMED, said))
        here = [(proof, "" if each.metadata.namespace == namespace else namespace) for each, proof in proofs]
        for outcome in (LiveProof.MISSING, LiveProof.CONTRADICTED):
            for proof, place in here:
                shown |= _against(proof, outcome, place)
        return shown

    def _condition(self, about: Policy | Sink | AuditControlPlane, type_: ConditionType) -> Observation:
        source = f"{about.ref} status.conditions[{type_}]"
        found = next((each for each in self._status(about).get("conditions", ()) if each["type"] == type_.value), None)
        if found is None:
            return Observation(Standing.NOT_OBSERVED, f"{about.ref}: its status does not speak about {type_}", source)
        standing = {
            ConditionStatus.TRUE.value: Standing.HOLDS,
            ConditionStatus.FALSE.value: Standing.FAILS,
        }.get(found["status"], Standing.NOT_OBSERVED)
        if standing is Standing.FAILS and found["reason"] in _NOT_SEEN_YET:
            standing = Standing.NOT_OBSERVED
        said = f"{about.ref}: {type_} is {found['status']} ({found['reason']})"
        message = found.get("message", "")
        said += f": {message}" if message else ""
        return Observation(standing, said, source, found.get("lastTransitionTime", ""))

    def _in_force(self, about: Policy | AuditControlPlane) -> Observation:
        seen = self._condition(about, ConditionType.PROGRAMMED)
        # Whatever API servers run instead, nobody has judged it.
        return _with(seen, Standing.NOT_OBSERVED) if seen.standing is Standing.FAILS else seen

    def _retained(self, policy: Policy) -> Iterator[Observation]:
        claim = self._condition(policy, ConditionType.RETENTION_ENFORCED)
        yield claim
        if claim.standing is not Standing.HOLDS:
            return
        for number, each in enumerate(self._status(policy).get("retention", ())):
            sink = each["sink"]
            said = (
                f"{sink['kind']}/{sink['name']} keeps {each['desired']}: {each['state']}, {each.get('effective', '')}"
            )
            source = f"{policy.ref} status.retention[{number}]"
            yield Observation(Standing.HOLDS, said.rstrip(", "), source, each.get("lastVerified", ""))

    def _expires(self, policy: Policy) -> Iterator[Observation]:
        retention = policy.spec.retention
        if retention is None or retention.maximum is None:
            said = f"{policy.ref}: no maximum is set, so that records may be kept for ever"
            yield Observation(Standing.FAILS, said, f"{policy.ref} spec.retention.maximum")
        else:
            yield from self._retained(policy)

    def _sealed(self, sink: Sink) -> Observation:
        claim = self._condition(sink, ConditionType.SEALED)
        if claim.standing is not Standing.HOLDS:
            return claim
        seals = sink.spec.seals if isinstance(sink, ClusterAuditSink) else None
        if seals is None or seals.verification is None:
            said = f"{sink.ref} is sealed, but nobody is expected to compare records with their seals"
            return Observation(Standing.NOT_OBSERVED, said, f"{sink.ref} spec.seals.verification")
        return claim

    def _fields(self, policy: Policy) -> Observation:
        source = f"{policy.ref} status.sidecars"
        if policy.spec.application_logs is None:
            return Observation(Standing.NOT_APPLICABLE, f"{policy.ref}: no application logs are collected", source)
        sidecars = self._status(policy).get("sidecars", {})
        if broken := sidecars.get("quarantined"):
            said = f"{policy.ref}: {broken[0]['lines']} lines or more of {broken[0]['source']} break the standard"
            return Observation(Standing.FAILS, said, source)
        answering, expected = sidecars.get("answering"), sidecars.get("expected")
        if not expected or answering != expected:
            said = f"{policy.ref}: {answering or 0} of {expected or 0} pods have said what they have set aside"
            return Observation(Standing.NOT_OBSERVED, said, source)
        return Observation(Standing.HOLDS, f"{policy.ref}: none of {expected} pods has set lines aside", source)

    def _of_plane(self, plane: AuditControlPlane) -> dict[EvidenceKind, tuple[Observation, ...]]:
        permissions = self._status(plane).get("permissions", {})
        rights = {kind: (_right(plane, permissions, *each),) for kind, each in _ACCESSES.items()}
        flags = {kind: (self._flag(plane, *each),) for kind, each in _LOG.items()}
        return {**rights, **flags, EvidenceKind.LOG_PATH: (self._flag(plane, "path", "--audit-log-path", None),)}

    def _flag(self, plane: AuditControlPlane, field: str, flag: str, least: int | None) -> Observation:
        """What an API server has in a flag: known only where our driver writes it, and it was seen to run with it."""
        source = f"{plane.ref} spec.log"
        if plane.spec.driver is not Driver.STATIC_POD:
            said = f"driver {plane.spec.driver} does not see the flags of API servers: run kube-bench"
            return Observation(Standing.NOT_OBSERVED, said, source)
        running = self._in_force(plane)
        if running.standing is not Standing.HOLDS:
            return running
        value = getattr(plane.spec.log or Log(), field)
        if least is not None and value < least:
            return Observation(Standing.FAILS, f"{flag} is {value}, and {least} is asked for", source, running.seen)
        shown = "set" if least is None else value
        return Observation(Standing.HOLDS, f"{flag} is {shown} on every API server", source, running.seen)


def _against(proof: Status, outcome: LiveProof, namespace: str) -> dict[str, Shown]:
    """The actions of which a status says so, with what was found where that stands there, too.

    With a namespace, of a cluster-wide policy: those alone that were found there, or at no place.
    """
    listed = proof.get(_LISTED[outcome], ()) if not namespace else ()
    found = {
        each["action"]: each
        for each in reversed(proof.get("findings", ()))
        if each["outcome"] == outcome.value and (not namespace or place_of(each.get("message", "")) in ("", namespace))
    }
    said = {action: f"{each.get('message', '')} ({each.get('sink', '')})" for action, each in found.items()}
    return {action: Shown(outcome, said.get(action, "see coverage.proof")) for action in {*listed, *found}}


def _somewhere(proof: Status) -> frozenset[str]:
    """The actions that something speaks against at places that a cluster-wide policy has no room to name."""
    findings = proof.get("findings", ())
    listed = frozenset(action for name in _LISTED.values() for action in proof.get(name, ()))
    # As many findings as there is room for: there may be more of the same actions.
    if len(findings) >= MAX_FINDINGS:
        return listed
    return listed - {each["action"] for each in findings if each["outcome"] in _SPEAKS_AGAINST}


def delivers(plane: AuditControlPlane, digest: str) -> bool:
    """Whether the operator says that it delivers that policy: another release or option may compile otherwise.

    Where API servers are only observed, it delivers none, and judges on what it was given, as everybody does.
    """
    return plane.spec.driver is Driver.OBSERVE or (plane.status is not None and plane.status.digest == digest)


def of_another_policy(facts: Facts) -> Facts:
    """The same facts where statuses speak about another policy than the one that verdicts were reached on."""
    return replace(facts, observed={**facts.observed, EvidenceKind.IN_FORCE: (_NOT_OURS,)}, shown={})


_NOT_OURS = Observation(
    Standing.NOT_OBSERVED,
    "the policy that these objects compile to here is not the one that the operator says it delivers",
    "status.digest",
)


def _right(plane: AuditControlPlane, permissions: Status, field: str, may: str) -> Observation:
    source = f"{plane.ref} status.permissions.{field}"
    held = permissions.get(field)
    if held is None:
        return Observation(Standing.NOT_OBSERVED, f"nobody has looked who {may}", source)
    said = f"{held['subjects']} users, accounts and groups {may}, {held['unexpected']} of them unexpected"
    return Observation(Standing.FAILS if held["unexpected"] else Standing.HOLDS, said, source)


def _wish(policy: Policy) -> Wish:
    frameworks = policy.spec.compliance.frameworks if policy.spec.compliance else ()
    return Wish.of(policy.ref, policy.spec.retention, frameworks)


def _with(seen: Observation, standing: Standing) -> Observation:
    return Observation(standing, seen.said, seen.source, seen.seen)
