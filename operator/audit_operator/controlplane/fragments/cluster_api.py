"""Cluster API: a Secret with the policy, and the part of a KubeadmControlPlane that uses it.

https://cluster-api.sigs.k8s.io/reference/api/crd-api-reference (v1.14): `kubeadmConfigSpec.files` may hold 10240
characters inline, and any number from a Secret in the same namespace (`contentFrom.secret`); `extraArgs` is a list of
name and value in v1beta2, and is a map in v1beta1, which is on its way out.

Machines are replaced when the KubeadmControlPlane changes, not when a Secret does: hence the digest in its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.controlplane.fragments.layout import (
    api_server_volumes,
    flags,
    head,
    literal,
    named_arguments,
    object_name,
    policy_path,
)

if TYPE_CHECKING:
    from audit_operator.api.observations import DesiredPolicy
    from audit_operator.controlplane.static_pod.audit_flags import LogSettings

POLICIES = "/etc/kubernetes/audit"


def render(policy: DesiredPolicy, log: LogSettings) -> str:
    """The fragment, with the policy in it: a Secret, and part of a KubeadmControlPlane."""
    name = object_name(policy)
    return (
        head(
            policy,
            "Cluster API: a Secret for the management cluster, and part of a KubeadmControlPlane (v1beta2; in v1beta1 "
            "extraArgs is a map).",
            "1. In the management cluster, create the first document in the control plane's namespace: `kubectl create "
            "-n <namespace> -f <file>`",
            "2. Then merge the second: `kubectl edit kubeadmcontrolplane -n <namespace> <name>`. Keep the other "
            "entries of its lists, which `kubectl patch` would replace. Machines are replaced one after the other.",
        )
        + "apiVersion: v1\n"
        "kind: Secret\n"
        "metadata:\n"
        f"  name: {name}\n"
        "immutable: true\n"
        "stringData:\n"
        "  policy.yaml: |\n" + literal(policy.text, "    ") + "---\n"
        "apiVersion: controlplane.cluster.x-k8s.io/v1beta2\n"
        "kind: KubeadmControlPlane\n"
        "spec:\n"
        "  kubeadmConfigSpec:\n"
        "    files:\n"
        f"    - path: {policy_path(policy, POLICIES)}\n"
        "      owner: root:root\n"
        '      permissions: "0600"\n'
        "      contentFrom:\n"
        "        secret:\n"
        f"          name: {name}\n"
        "          key: policy.yaml\n"
        "    clusterConfiguration:\n"
        "      apiServer:\n"
        "        extraArgs:\n"
        + named_arguments(flags(policy, log, POLICIES), "        ")
        + "        extraVolumes:\n"
        + api_server_volumes(log, POLICIES, "        ")
    )
