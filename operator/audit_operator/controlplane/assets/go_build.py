"""Binaries built from source with the Go toolchain, through Go modules: the way that works without any release host.

`k8s.io/kubernetes` cannot be installed with `go install`, since its go.mod refers to folders of its own repository.
The wrapper modules in `tools/` of this repository do without these; their go.sum pins every source. The build is
reproducible: two machines with the same Go make the same bytes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.controlplane.assets.asset import Tool, parse_version
from audit_operator.controlplane.assets.progress import Progress
from audit_operator.controlplane.assets.source import SourceFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit_operator.controlplane.assets.asset import Asset

CHECKOUT_TOOLS = Path(__file__).parents[4] / "tools"

_PACKAGES = {
    Tool.ETCD: "go.etcd.io/etcd/server/v3",
    Tool.KUBE_APISERVER: "k8s.io/kubernetes/cmd/kube-apiserver",
    Tool.KUBECTL: "k8s.io/kubernetes/cmd/kubectl",
}
_USUAL_TIME = {
    Tool.ETCD: "about a minute on 2 cores, once",
    Tool.KUBE_APISERVER: "about 7 minutes on 2 cores, once",
    Tool.KUBECTL: "about half a minute on 2 cores, once",
}
_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
_LOG_LINES = 15


def build(asset: Asset, work: Path, report: Callable[[str], None], tools: Path = CHECKOUT_TOOLS) -> Path:
    """Build `asset` in the folder `work`; returns the binary.

    Raises:
        SourceFailed: there is no Go toolchain, no wrapper module for this version, or the build fails.
    """
    module = _module(asset, tools)
    progress = Progress(f"building {asset} from source ({_USUAL_TIME[asset.tool]})", report)
    flags = [] if asset.tool is Tool.ETCD else kubernetes_version_flags(asset.version)
    return compile_package(module, _PACKAGES[asset.tool], work / asset.tool, flags, progress)


def compile_package(module: Path, package: str, binary: Path, flags: Sequence[str], progress: Progress) -> Path:
    """Build one package of a module, with the linker's `flags`, into the file `binary`; a log is left beside it.

    Raises:
        SourceFailed: there is no Go toolchain, or the build fails.
    """
    go = shutil.which("go")
    if go is None:
        raise SourceFailed("there is no Go toolchain on PATH")
    log = binary.parent / "build.log"
    command = [go, "build", "-trimpath", "-ldflags", " ".join(["-s", "-w", *flags]), "-o", str(binary), package]
    with log.open("w") as output:
        # A session of its own, so that compilers and linkers can be ended together with the go command.
        process = subprocess.Popen(  # noqa: S603  # the Go toolchain, with arguments from here
            command,
            cwd=module,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            status = _wait(process, progress)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status != 0:
        tail = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        raise SourceFailed("\n".join([f"`go build` in {module} ended with status {status}:", *tail]))
    return binary


def _module(asset: Asset, tools: Path) -> Path:
    """The wrapper module that pins this version."""
    project = "etcd" if asset.tool is Tool.ETCD else "k8s"
    for version in sorted(tools.glob(f"{project}*/VERSION")):
        if version.read_text().strip() == asset.version:
            return version.parent
    if not tools.is_dir():
        raise SourceFailed(f"building from source needs a checkout of audit-operator: {tools} is not there")
    raise SourceFailed(f"no module in {tools} pins {asset}")


def kubernetes_version_flags(text: str) -> list[str]:
    """The version that a release would have, ``v1.37.2``; kube-apiserver bases on it what it serves."""
    version = parse_version(text)
    if version is None:
        return []
    values = {
        "gitVersion": text,
        "gitMajor": version.major,
        "gitMinor": version.minor,
        "gitTreeState": "clean",
        "gitCommit": "0" * 40,
        "buildDate": "1970-01-01T00:00:00Z",
    }
    return [f"-X {package}.{key}={value}" for package in _VERSION_PACKAGES for key, value in values.items()]


def _environment() -> dict[str, str]:
    """The user's, for proxies and caches, without what would change the result."""
    environment = {key: value for key, value in os.environ.items() if key not in {"GOOS", "GOARCH", "GOEXPERIMENT"}}
    # The modules may ask for a newer Go than is installed: the toolchain fetches it unless it is told not to.
    environment.setdefault("GOTOOLCHAIN", "auto")
    return {**environment, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly -buildvcs=false"}


def _wait(process: subprocess.Popen[bytes], progress: Progress) -> int:
    while True:
        try:
            return process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            progress.tick()
