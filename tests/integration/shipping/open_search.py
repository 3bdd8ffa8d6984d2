"""A real OpenSearch on loopback, of one node.

with open_search(tmp_path) as node:
    node.ask("GET", "/audit/_search")
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from audit_operator.controlplane.assets import OpenSearch, provide_open_search
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE, _STEP = 180.0, 0.2
_JAVA = (
    "-Xms192m",
    "-Xmx192m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.security.manager=allow",
    # Without native code it cannot find out that it runs as root, which it would refuse.
    "-Djna.nosys=true",
    "-Djna.nounpack=true",
    "-Djna.noclasspath=true",
)
_LOGGING = """\
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}][%node_name]%marker%m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


@cache
def assets() -> OpenSearch:
    return provide_open_search()


@dataclass(frozen=True)
class Node:
    """One that runs."""

    url: str

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Its answer as JSON. An answer that is no success raises urllib.error.HTTPError."""
        request = urllib.request.Request(  # noqa: S310  # loopback
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # as above
            return json.loads(answer.read())

    def documents(self, index: str) -> list[dict[str, Any]]:
        """All that the index has, up to 10,000; nothing if it is not there."""
        there = "ignore_unavailable=true"
        self.ask("POST", f"/{index}/_refresh?{there}")
        found = self.ask("POST", f"/{index}/_search?{there}", {"size": 10_000})
        return [each["_source"] for each in found["hits"]["hits"]]


@contextmanager
def open_search(folder: Path, *, port: int | None = None) -> Iterator[Node]:
    """Run until the end of the block; what it stores stays in the folder."""
    ports = free_ports()
    port = port or next(ports)
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "log4j2.properties").write_text(_LOGGING)
    settings = {
        "discovery.type": "single-node",
        "http.host": "127.0.0.1",
        "http.port": port,
        "transport.host": "127.0.0.1",
        "transport.port": next(ports),
        "path.data": f"{folder}/data",
        "path.logs": f"{folder}/logs",
        "cluster.routing.allocation.disk.threshold_enabled": False,
    }
    (folder / "config" / "opensearch.yml").write_text(json.dumps(settings))
    home = assets().home
    command = [
        assets().java,
        *_JAVA,
        f"-Dopensearch.path.home={home}",
        f"-Dopensearch.path.conf={folder}/config",
        "-cp",
        f"{home}/lib/*",
        "org.opensearch.bootstrap.OpenSearch",
    ]
    with (folder / "open-search.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  # of the asset module
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
        )
        try:
            yield _await(process, f"http://127.0.0.1:{port}", folder)
        finally:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], url: str, folder: Path) -> Node:
    """Until it takes writes."""
    node = Node(url)
    for _ in range(int(_PATIENCE / _STEP)):
        if process.poll() is not None:
            break
        try:
            node.ask("GET", "/_cluster/health?wait_for_status=yellow")
        except OSError:
            time.sleep(_STEP)
            continue
        return node
    raise AssertionError(f"OpenSearch is not up:\n{(folder / 'open-search.log').read_text()[-3000:]}")
