"""kubeadm: the `apiServer` part of a ClusterConfiguration.

https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/ : `extraArgs` is a list of name and value in
v1beta4 (kubeadm 1.31 and later) and was a map before; `extraVolumes` are hostPath mounts. kubeadm 1.37 reads v1beta4
alone (cmd/kubeadm/app/util/config/common.go).

https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-reconfigure/ : the ConfigMap kubeadm-config in
kube-system is edited first, then `kubeadm init phase control-plane apiserver --config` writes each node's manifest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.controlplane.fragments.layout import (
    api_server_volumes,
    flags,
    head,
    named_arguments,
    policy_path,
    put_policy,
)

if TYPE_CHECKING:
    from audit_operator.api.observations import DesiredPolicy
    from audit_operator.controlplane.static_pod.audit_flags import LogSettings

POLICIES = "/etc/kubernetes/audit"


def render(policy: DesiredPolicy, log: LogSettings) -> str:
    """The fragment: it names the policy's file, which has to be put there first."""
    return (
        head(
            policy,
            "kubeadm: part of a ClusterConfiguration (kubeadm 1.31 and later; before that, extraArgs is a map).",
            put_policy(policy_path(policy, POLICIES)) + ". An API server without its policy file does not start.",
            "2. Merge this into the ClusterConfiguration: of a new cluster, into the file of `kubeadm init --config`; "
            "of one that exists, with `kubectl edit configmap kubeadm-config -n kube-system`. Keep its other entries.",
            "3. Of one that exists, on one control-plane node after the other: `kubeadm init phase control-plane "
            "apiserver --config <file with the ClusterConfiguration>`, then wait until its API server is ready.",
        )
        + "apiVersion: kubeadm.k8s.io/v1beta4\n"
        "kind: ClusterConfiguration\n"
        "apiServer:\n"
        "  extraArgs:\n"
        + named_arguments(flags(policy, log, POLICIES), "  ")
        + "  extraVolumes:\n"
        + api_server_volumes(log, POLICIES, "  ")
    )
