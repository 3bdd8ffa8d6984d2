"""What a test needs of a cluster, whoever runs it, and which of the providers is taken."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

from audit_operator.controlplane.assets.progress import to_stderr
from tests.e2e.node import kind, nodebox
from tests.e2e.node.given import given_cluster

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


class Cluster(Protocol):
    """A cluster of one control-plane node, whose API server is a static pod.

    Attributes:
        kubeconfig: of a cluster administrator; its server can be reached from here.
        node_name: the node's name in the API.
    """

    kubeconfig: Path
    node_name: str

    def run_on_node(self, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command as root in the node's namespaces and file system; see `subprocess.run` for the options.

        The output is captured as text unless the options say otherwise. A status other than 0 is not raised.
        """

    def load_image(self, archive: Path) -> None:
        """Import an image from an OCI (or `docker save`) archive."""

    def restart_node(self) -> None:
        """Kill all of the node's processes and start it again, as a reboot does; returns when the node is up anew.

        Up means that its containerd and kubelet are started; the API server needs some more seconds.
        """

    def stop_kubelet(self) -> None:
        """Stop the kubelet until `start_kubelet` or a restart; what it has started goes on."""

    def start_kubelet(self) -> None:
        """Undo `stop_kubelet`."""

    def close(self) -> None:
        """End the cluster if it was started for the tests."""


def start_cluster(environ: Mapping[str, str], report: Callable[[str], None] = to_stderr) -> Cluster:
    """The cluster of the first provider that there is: the user's own, kind, or a node made of this machine.

    Raises:
        MachineUnfit: there is none, and the last cannot be built here.
    """
    given = given_cluster(environ)
    if given is not None:
        return given
    if kind.is_possible():
        return kind.start()
    return nodebox.start(f"e2e-{os.getpid()}", report=report)
