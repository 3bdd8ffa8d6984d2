"""The audit policy of API servers that are only observed: somebody else's, and taken as given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from audit_operator.api.control_plane import Provider
from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.observations import policy_digest
from audit_operator.api.references import INPUT_LABEL
from audit_operator.policy.loading import load_policy
from audit_operator.policy.provider_policies import eks_policy

if TYPE_CHECKING:
    from audit_operator.api.control_plane import AuditControlPlane, Observe
    from audit_operator.plan.snapshot import Snapshot
    from audit_operator.policy.gates import Version
    from audit_operator.policy.loading import LoadResult
    from audit_operator.policy.model import Policy

NOT_FOUND = "given-policy-not-found"
INVALID = "given-policy-invalid"
_PATH = "spec.observe.policyRef"


@dataclass(frozen=True, slots=True)
class GivenPolicy:
    """What is known of it.

    Attributes:
        origin: where it is from, for a sentence such as "taken as given from ...".
        text: as it was given; empty where it is not known.
        policy: as the API servers read it; None where it is not known, so that nothing can be said about what they
            record.
        faults: why it is not known.
        notes: what a reader should know about it.
    """

    origin: str
    text: str = ""
    policy: Policy | None = None
    faults: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the text, in hex."""
        return policy_digest(self.text)


def given_policy(plane: AuditControlPlane, snapshot: Snapshot, version: Version) -> GivenPolicy | None:
    """The policy of a control plane of driver Observe, read as its API servers do; None for any other driver."""
    observe = plane.spec.observe
    if observe is None:
        return None
    if observe.provider is Provider.EKS:
        text = eks_policy()
        return GivenPolicy(
            "what Amazon has published for EKS", text, _load(text, version).policy, notes=(_AS_PUBLISHED,)
        )
    return _custom(observe, snapshot, version)


def _custom(observe: Observe, snapshot: Snapshot, version: Version) -> GivenPolicy:
    ref = observe.policy_ref
    if ref is None:
        raise TypeError(observe)
    source = ObjectRef("ConfigMap", ref.name, ref.namespace)
    text = snapshot.input(ref.namespace, ref.name, ref.key)
    if text is None:
        missing = Finding(
            id=NOT_FOUND,
            severity=Severity.ERROR,
            message=f"there is no {source} with a key {ref.key} and the label {INPUT_LABEL}",
            mend="create it, with the label, from the policy that those API servers run",
            path=_PATH,
        )
        return GivenPolicy(str(source), faults=(missing,))
    loaded = _load(text, version)
    found = tuple(_at_source(each, source) for each in loaded.findings)
    if loaded.policy is None:
        return GivenPolicy(str(source), text, faults=tuple(each for each in found if each.severity is Severity.ERROR))
    return GivenPolicy(str(source), text, loaded.policy, notes=found)


@lru_cache(maxsize=16)  # reading a policy takes longer than everything else that is done with it here
def _load(text: str, version: Version) -> LoadResult:
    return load_policy(text, kubernetes=version)


def _at_source(finding: Finding, source: ObjectRef) -> Finding:
    line = f" line {finding.location.line}" if finding.location.line else ""
    return Finding(
        id=INVALID,
        severity=finding.severity,
        message=f"{source}{line}: {finding.message}",
        mend=finding.mend or "put in the policy as those API servers run it",
        path=_PATH,
    )


_AS_PUBLISHED = Finding(
    id="given-as-published",
    severity=Severity.INFO,
    message="judged on the audit policy that Amazon has published for EKS; what a cluster really runs cannot be seen",
    mend="enable the log type audit of the cluster, else nothing of it reaches CloudWatch Logs",
    path="spec.observe.provider",
)
