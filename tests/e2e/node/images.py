"""The images of the control plane, made of the binaries, under the names that kubeadm expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.node.kubeadm import IMAGE_REPOSITORY
from tests.e2e.node.oci import Image, write_archive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.e2e.node.debian import UnpackedPackages

PAUSE = f"{IMAGE_REPOSITORY}/pause:local"
KUBECTL = f"{IMAGE_REPOSITORY}/kubectl:local"
"""For tests' own pods: kubectl alone, which also finds its way with a pod's service account."""

VICTORIA_LOGS = f"{IMAGE_REPOSITORY}/victoria-logs:local"
"""A store for tests that read back what was shipped."""


def node_images(
    binaries: Mapping[str, Path], packages: UnpackedPackages, kubernetes_version: str, etcd_version: str
) -> Iterator[Image]:
    """Every image of a node, the sandbox's first."""
    yield _single("pause", PAUSE, binaries)
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        yield _single(name, f"{IMAGE_REPOSITORY}/{name}:{kubernetes_version}", binaries)
    yield _single("etcd", f"{IMAGE_REPOSITORY}/etcd:{etcd_version.removeprefix('v')}", binaries)
    yield _single("kubectl", KUBECTL, binaries)
    libraries = {str(path).removeprefix("/"): path for path in packages.linked_against(packages.nft)}
    own = {
        f"usr/lib/{path.name}" if path.is_relative_to(packages.root) else place: path
        for place, path in libraries.items()
    }
    yield Image(
        f"{IMAGE_REPOSITORY}/kube-proxy:{kubernetes_version}",
        {"usr/local/bin/kube-proxy": binaries["kube-proxy"], "usr/sbin/nft": packages.nft, **own},
        ["/usr/local/bin/kube-proxy"],
    )


def _single(binary: str, name: str, binaries: Mapping[str, Path]) -> Image:
    return Image(name, {f"usr/local/bin/{binary}": binaries[binary]}, [f"/usr/local/bin/{binary}"])


def image_archive(name: str, binary: Path, target: Path) -> None:
    """Write an image of one static binary, its entrypoint, as an archive."""
    write_archive(_single(binary.name, name, {binary.name: binary}), target)


def kubectl_archive(kubectl: Path, target: Path) -> None:
    """Write the image `KUBECTL` as an archive, for clusters that do not have it."""
    image_archive(KUBECTL, kubectl, target)


def victoria_logs_archive(victoria_logs: Path, target: Path) -> None:
    """Write the image `VICTORIA_LOGS` as an archive."""
    image_archive(VICTORIA_LOGS, victoria_logs, target)
