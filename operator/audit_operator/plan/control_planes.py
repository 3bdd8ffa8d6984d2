"""Which control plane a policy belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, ObjectRef, Severity

if TYPE_CHECKING:
    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.control_plane import AuditControlPlane


@dataclass(frozen=True, slots=True)
class ControlPlanes:
    """The control planes there are, and the one for policies that name none.

    Attributes:
        by_name: all of them.
        default: the one marked as default, or the only one; None where there is none or where several are marked.
        rivals: the names of several that are all marked as default; none of them is then used as default.
    """

    by_name: dict[str, AuditControlPlane]
    default: str | None
    rivals: tuple[str, ...]

    @classmethod
    def of(cls, planes: tuple[AuditControlPlane, ...]) -> ControlPlanes:
        """Find the default among control planes."""
        by_name = {each.metadata.name: each for each in sorted(planes, key=lambda each: each.metadata.name)}
        marked = tuple(name for name, each in by_name.items() if each.spec.default)
        if len(marked) > 1:
            return cls(by_name, None, marked)
        only = next(iter(by_name)) if len(by_name) == 1 else None
        return cls(by_name, marked[0] if marked else only, ())

    def assign(self, policy: AuditPolicy | ClusterAuditPolicy) -> str | Finding:
        """The name of the control plane that a policy belongs to, or why there is none."""
        wanted = policy.spec.control_plane_ref
        if wanted is not None:
            if wanted.name in self.by_name:
                return wanted.name
            there_are = ", ".join(self.by_name) or "none"
            return Finding(
                id="control-plane-not-found",
                severity=Severity.ERROR,
                message=f"there is no AuditControlPlane {wanted.name!r} (there are: {there_are})",
                mend="name an existing one, or leave controlPlaneRef out to use the default",
                path="spec.controlPlaneRef.name",
            )
        if self.default is not None:
            return self.default
        if self.rivals:
            return Finding(
                id="default-control-plane-conflict",
                severity=Severity.ERROR,
                message=f"several AuditControlPlanes are marked as default: {', '.join(self.rivals)}",
                mend="leave spec.default true on one of them, or set spec.controlPlaneRef here",
                path="spec.controlPlaneRef",
            )
        return Finding(
            id="no-default-control-plane",
            severity=Severity.ERROR,
            message="no AuditControlPlane is marked as default" if self.by_name else "there is no AuditControlPlane",
            mend="create one with spec.default: true, or set spec.controlPlaneRef",
            path="spec.controlPlaneRef",
        )

    def rivalry(self, name: str) -> Finding | None:
        """What is wrong with a control plane that is not the only default."""
        if name not in self.rivals:
            return None
        others = ", ".join(other for other in self.rivals if other != name)
        return Finding(
            id="default-control-plane-conflict",
            severity=Severity.ERROR,
            message=f"spec.default is also true on {others}, so none of them is the default",
            mend="leave spec.default true on one of them",
            object=ObjectRef("AuditControlPlane", name),
            path="spec.default",
        )
