"""Prometheus, Alertmanager and their tools, from Debian's packages, without installing anything."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.e2e.node.debian import unpacked_packages
from tests.integration.readiness import await_answer
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_PATIENCE = 180.0


@cache
def _binaries() -> Path:
    return unpacked_packages(names=("prometheus",)).root / "usr/bin"


def promtool() -> Path:
    return _binaries() / "promtool"


@cache
def amtool() -> Path:
    return unpacked_packages(names=("prometheus-alertmanager",)).root / "usr/bin/amtool"


def promtool_says(*arguments: str) -> str:
    return _said(promtool(), *arguments)


def amtool_says(*arguments: str) -> str:
    return _said(amtool(), *arguments)


def _said(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - of a package
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str

    def get(self, path: str, parameters: Mapping[str, str]) -> Any:
        """The `data` of an answer; AssertionError with Prometheus' own words where it has none."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=60) as answer:  # noqa: S310 - loopback
                said = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        assert said["status"] == "success", said
        return said["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now, each with `metric` (its labels) and `value`."""
        result: list[dict[str, Any]] = self.get("query", {"query": expression})["result"]
        return result

    def reload(self) -> None:
        """Read configuration and rules anew."""
        with urllib.request.urlopen(f"{self.url}/-/reload", data=b"", timeout=60):  # noqa: S310 - loopback
            pass


@contextmanager
def prometheus(folder: Path, configuration: Mapping[str, Any]) -> Iterator[Prometheus]:
    """Run until the end of the block, with this configuration; what it stores stays in the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "prometheus.json").write_text(json.dumps(configuration))
    url = f"http://127.0.0.1:{next(free_ports())}"
    command = [
        _binaries() / "prometheus",
        f"--config.file={folder / 'prometheus.json'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--web.enable-lifecycle",
    ]
    with _running(command, url, folder):
        yield Prometheus(url)


@contextmanager
def alertmanager(folder: Path) -> Iterator[str]:
    """Run until the end of the block; it tells nobody. Gives its address."""
    folder.mkdir(exist_ok=True)
    configuration = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
    (folder / "alertmanager.json").write_text(json.dumps(configuration))
    url = f"http://127.0.0.1:{next(free_ports())}"
    command = [
        _relocated(folder),
        f"--config.file={folder / 'alertmanager.json'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with _running(command, url, folder):
        yield url


def _relocated(folder: Path) -> Path:
    """Debian's Alertmanager reads templates from /usr/share, where this machine has none: it gets a way to ours."""
    root, assets = amtool().parents[2], "usr/share/prometheus/alertmanager"
    for each in (root / assets).glob("*.tmpl"):
        (folder / each.name).write_bytes(each.read_bytes())
    there = f"/{assets}".encode()
    here = b"./" * (len(there) // 2)
    assert len(here) == len(there), "a binary is patched with what is as long"
    binary = folder / "prometheus-alertmanager"
    binary.write_bytes(amtool().with_name(binary.name).read_bytes().replace(there, here))
    binary.chmod(0o755)
    return binary


@contextmanager
def _running(command: Sequence[str | Path], url: str, folder: Path) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603 - Debian's
        try:
            await_answer(process, f"{url}/-/ready", folder / "log", patience=_PATIENCE)
            yield
        finally:
            process.kill()
            process.wait()
