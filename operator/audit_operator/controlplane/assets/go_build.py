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
from typing import TYPE_CHECKING, NamedTuple

from audit_operator.controlplane.assets.asset import Tool, parse_version
from audit_operator.controlplane.assets.progress import Progress
from audit_operator.controlplane.assets.source import SourceFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit_operator.controlplane.assets.asset import Asset

CHECKOUT_TOOLS = Path(__file__).parents[4] / "tools"


class _Source(NamedTuple):
    """Where a binary's source is: the wrapper module's folder in `tools/`, and the package to build there."""

    module: str
    package: str
    usual_time: str


_SOURCES = {
    Tool.ETCD: _Source("etcd", "go.etcd.io/etcd/server/v3", "about a minute"),
    Tool.KUBE_APISERVER: _Source("k8s", "k8s.io/kubernetes/cmd/kube-apiserver", "about 7 minutes"),
    Tool.KUBECTL: _Source("k8s", "k8s.io/kubernetes/cmd/kubectl", "about half a minute"),
    Tool.OTELCOL: _Source("otelcol", ".", "about 3 minutes"),
    Tool.VICTORIA_LOGS: _Source(
        "victorialogs", "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs", "about half a minute"
    ),
}
_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
_VICTORIA_LOGS_VERSION = "github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version"
_LOG_LINES = 15


def build(asset: Asset, work: Path, report: Callable[[str], None], tools: Path = CHECKOUT_TOOLS) -> Path:
    """Build `asset` in the folder `work`; returns the binary.

    Raises:
        SourceFailed: there is no Go toolchain, no wrapper module for this version, or the build fails.
    """
    module = _module(asset, tools)
    source = _SOURCES[asset.tool]
    progress = Progress(f"building {asset} from source ({source.usual_time} on 2 cores, once)", report)
    return compile_package(module, source.package, work / asset.tool, _flags(asset), progress)


def compile_package(module: Path, package: str, binary: Path, flags: Sequence[str], progress: Progress) -> Path:
    """Build one package of a module, with the linker's `flags`, into the file `binary`; a log is left beside it.

    Raises:
        SourceFailed: there is no Go toolchain, or the build fails.
    """
    go = shutil.which("go")
    if go is None:
        raise SourceFailed("there is no Go toolchain on PATH")
    log = binary.parent / "build.log"
    with log.open("w") as output:
        # A session of its own, so that compilers and linkers can be ended together with the go command.
        process = subprocess.Popen(  # noqa: S603  # the Go toolchain, with arguments from here
            [go, *arguments(binary, package, flags)],
            cwd=module,
            env=environment(),
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


def arguments(binary: Path, package: str, flags: Sequence[str]) -> list[str]:
    """Of the command ``go``, for one package; the Dockerfile has the same ones."""
    return ["build", "-trimpath", "-ldflags", " ".join(["-s", "-w", *flags]), "-o", str(binary), package]


def _module(asset: Asset, tools: Path) -> Path:
    """The wrapper module that pins this version."""
    for version in sorted(tools.glob(f"{_SOURCES[asset.tool].module}*/VERSION")):
        if version.read_text().strip() == asset.version:
            return version.parent
    if not tools.is_dir():
        raise SourceFailed(f"building from source needs a checkout of audit-operator: {tools} is not there")
    raise SourceFailed(f"no module in {tools} pins {asset}")


def _flags(asset: Asset) -> list[str]:
    """What tells the binary its version, where the sources do not."""
    match asset.tool:
        case Tool.KUBE_APISERVER | Tool.KUBECTL:
            return kubernetes_version_flags(asset.version)
        case Tool.VICTORIA_LOGS:
            return [f"-X {_VICTORIA_LOGS_VERSION}={asset.tool}-{asset.version}"]
        case Tool.ETCD | Tool.OTELCOL:
            return []


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


def environment() -> dict[str, str]:
    """Of the command ``go``: the user's, for proxies and caches, without what would change the result."""
    own = {key: value for key, value in os.environ.items() if key not in {"GOOS", "GOARCH", "GOEXPERIMENT"}}
    # The modules may ask for a newer Go than is installed: the toolchain fetches it unless it is told not to.
    own.setdefault("GOTOOLCHAIN", "auto")
    return {**own, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly -buildvcs=false"}


def _wait(process: subprocess.Popen[bytes], progress: Progress) -> int:
    while True:
        try:
            return process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            progress.tick()
