"""kOps: part of the Cluster's specification.

https://kops.sigs.k8s.io/cluster_spec/#audit-logging (docs/cluster_spec.md): `kubeAPIServer.auditLog*` and
`auditPolicyFile`, with the policy as one of `fileAssets`. https://kops.sigs.k8s.io/releases/1.22-notes/ : of
/srv/kubernetes only /srv/kubernetes/kube-apiserver is mounted into the API server.

nodeup/pkg/model/file_assets.go: without `roles`, an asset is written on every node. The role of control-plane nodes has
had two names, and API servers can have a role of their own; an API server without its policy file does not start.

pkg/apis/kops/componentconfig.go has no field for the flags of log mode and truncation, so that kube-apiserver's own
defaults hold: blocking, and nothing is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.controlplane.fragments.layout import head, literal, policy_path, quoted

if TYPE_CHECKING:
    from audit_operator.api.observations import DesiredPolicy
    from audit_operator.controlplane.static_pod.audit_flags import LogSettings

POLICIES = "/srv/kubernetes/kube-apiserver"


def render(policy: DesiredPolicy, log: LogSettings) -> str:
    """The fragment, with the policy in it."""
    path = quoted(policy_path(policy, POLICIES))
    return (
        head(
            policy,
            "kOps: part of the Cluster.",
            "1. Merge this into the Cluster: `kops edit cluster`. Keep its other fileAssets; remove the one of the "
            "policy before.",
            "2. `kops update cluster --yes`, then `kops rolling-update cluster --yes`, which replaces one node after "
            "the other.",
            "kOps has no field for the log's mode and truncation: kube-apiserver's defaults hold, which are blocking "
            "and not to cut large records.",
        )
        + "spec:\n"
        "  kubeAPIServer:\n"
        f"    auditPolicyFile: {path}\n"
        f"    auditLogPath: {quoted(log.path)}\n"
        f"    auditLogMaxAge: {log.max_age}\n"
        f"    auditLogMaxBackups: {log.max_backup}\n"
        f"    auditLogMaxSize: {log.max_size}\n"
        "  fileAssets:\n"
        "  - name: audit-policy\n"
        f"    path: {path}\n"
        "    content: |\n" + literal(policy.text, "      ")
    )
