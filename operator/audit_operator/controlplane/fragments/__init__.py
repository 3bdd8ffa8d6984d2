"""The audit configuration as other tools take it, for those who bring the policy to the API servers themselves.

One module per platform, each with `render`, and each saying where the platform documents what it renders. A fragment
holds the log settings, and the policy where the platform takes it inline; its head says where it goes and what to do
next. Every fragment holds the policy or names it by its digest, so that another policy is another configuration, which
the platform rolls out; most of them do not notice when only the content of a file changes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from audit_operator.controlplane.fragments import cluster_api, gardener, k3s, kops, kubeadm, rke2, talos

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audit_operator.api.observations import DesiredPolicy
    from audit_operator.controlplane.static_pod.audit_flags import LogSettings


class Platform(StrEnum):
    """What sets the API servers up."""

    KUBEADM = "kubeadm"
    TALOS = "talos"
    K3S = "k3s"
    RKE2 = "rke2"
    KOPS = "kops"
    GARDENER = "gardener"
    CLUSTER_API = "cluster-api"

    @property
    def key(self) -> str:
        """The key of its fragment in a ConfigMap."""
        return f"{self.value}.yaml"


_RENDER: Mapping[Platform, Callable[[DesiredPolicy, LogSettings], str]] = {
    Platform.KUBEADM: kubeadm.render,
    Platform.TALOS: talos.render,
    Platform.K3S: k3s.render,
    Platform.RKE2: rke2.render,
    Platform.KOPS: kops.render,
    Platform.GARDENER: gardener.render,
    Platform.CLUSTER_API: cluster_api.render,
}


def render_fragment(platform: Platform, policy: DesiredPolicy, log: LogSettings) -> str:
    """The fragment for a platform: YAML with comments, one document or two."""
    return _RENDER[platform](policy, log)
