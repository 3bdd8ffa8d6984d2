"""The configuration that `kubeadm init` gets: a stock control plane on one node, as small and as quick as it can be.

The API server is what kubeadm makes of it (its manifest is what audit-operator edits), without audit flags.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml

API_SERVER_PORT = 6443
POD_SUBNET = "10.244.0.0/16"
NODE_POD_SUBNET = "10.244.0.0/24"  # the first that kube-controller-manager gives away
SERVICE_SUBNET = "10.96.0.0/16"
IMAGE_REPOSITORY = "localhost/node"
PATCHES = "/etc/kubeadm/patches"
API_SERVER_PATCH_FILE = "kube-apiserver+merge.yaml"
API_SERVER_GRACE = 5
STATIC_PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")

_EVICTION_SIGNALS = (
    "memory.available",
    *("nodefs.available", "nodefs.inodesFree"),
    *("imagefs.available", "imagefs.inodesFree"),
)
_NO_LEADER_ELECTION = [{"name": "leader-elect", "value": "false"}]


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs from node to node."""

    node_name: str
    address: str
    kubernetes_version: str
    etcd_version: str


def configuration(settings: Settings) -> str:
    """The file for `kubeadm init --config`."""
    return yaml.safe_dump_all([_init(settings), _cluster(settings), _kubelet(), _kube_proxy()], sort_keys=False)


def api_server_patch(termination_grace: int) -> str:
    """An API server does not end on SIGTERM while a watch is open: kubeadm's 30 s would be used up at every change."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "kube-apiserver", "namespace": "kube-system"},
            "spec": {"terminationGracePeriodSeconds": termination_grace},
        }
    )


def _init(settings: Settings) -> dict[str, object]:
    return {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": settings.address, "bindPort": API_SERVER_PORT},
        "nodeRegistration": {
            "name": settings.node_name,
            "criSocket": "unix:///run/containerd/containerd.sock",
            "imagePullPolicy": "Never",
            "taints": [],
            "kubeletExtraArgs": [{"name": "node-ip", "value": settings.address}],
            # It is no machine of its own, and what is missing here is not needed.
            "ignorePreflightErrors": ["all"],
        },
        "patches": {"directory": PATCHES},
        "skipPhases": ["addon/coredns"],  # nothing here asks a name
    }


def _cluster(settings: Settings) -> dict[str, object]:
    return {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "kubernetesVersion": settings.kubernetes_version,
        "imageRepository": IMAGE_REPOSITORY,
        "networking": {"podSubnet": POD_SUBNET, "serviceSubnet": SERVICE_SUBNET},
        "etcd": {
            "local": {
                "imageTag": settings.etcd_version.removeprefix("v"),
                "extraArgs": [{"name": "unsafe-no-fsync", "value": "true"}],
            }
        },
        # With leader election both would end at every restart of the API server, and wait longer each time.
        "controllerManager": {"extraArgs": _NO_LEADER_ELECTION},
        "scheduler": {"extraArgs": _NO_LEADER_ELECTION},
    }


def _kubelet() -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,  # kube-proxy uses nftables
        "oomScoreAdj": 0,  # less than what one has needs CAP_SYS_RESOURCE
        "evictionHard": dict.fromkeys(_EVICTION_SIGNALS, "0%"),
        "imageGCHighThresholdPercent": 100,
    }


def _kube_proxy() -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": POD_SUBNET,
        "conntrack": {"maxPerCore": 0, "min": 0},  # the limits are this machine's
        "oomScoreAdj": 0,
    }
