"""The rights of the prober with the chart's value probes.bodies.enabled, as `tests/chart/test_rights.py` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.permissions.rbac import NOTHING
from audit_operator.proof.bodies import WRITTEN
from audit_operator.proof.selecting import PROBER

if TYPE_CHECKING:
    from tests.integration.control_plane import RunningControlPlane


def grant_bodies(control_plane: RunningControlPlane, namespace: str) -> None:
    """Grant them to the prober in that namespace, by a ClusterRole and a binding called ``NAMESPACE-prober``."""
    rules = [
        {"apiGroups": [each.group], "resources": [each.resource], "verbs": each.verbs, "resourceNames": [NOTHING]}
        for each in WRITTEN
    ]
    rbac, name = {"apiVersion": "rbac.authorization.k8s.io/v1"}, {"name": f"{namespace}-prober"}
    subject = {"kind": "ServiceAccount", "name": PROBER, "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", **name}
    control_plane.apply(
        {**rbac, "kind": "ClusterRole", "metadata": name, "rules": rules},
        {**rbac, "kind": "ClusterRoleBinding", "metadata": name, "roleRef": role, "subjects": [subject]},
    )
