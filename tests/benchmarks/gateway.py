"""What the gateway costs: events a second, and CPU of the receiver and of the collector behind it."""

from __future__ import annotations

import http.client
import os
import ssl
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.shipping import lines_of
from tests.gateway.lists import list_of
from tests.integration.gateway.pki import Authority
from tests.integration.gateway.shipping_collector import ShippingCollector, victoria_logs_sink
from tests.integration.gateway.world import RunningGateway, running
from tests.integration.shipping.victoria_logs import victoria_logs

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = 40_000
_TYPE = b'"kind":"Event","apiVersion":"audit.k8s.io/v1",'


def run() -> Iterator[str]:
    lines = [line.replace(_TYPE, b"") for line in lines_of(EVENTS, 100)]
    size = sum(map(len, lines)) / EVENTS
    yield f"{EVENTS:,} events of {size:,.0f} bytes on average, queued with fsync, to VictoriaLogs; mTLS, 8 connections."
    yield ""
    yield "| events in a list | events/s | CPU s per 100,000 events: receiver | collector |"
    yield "|---|---|---|---|"
    for size in (400, 50, 1):
        mine = lines[: EVENTS if size > 1 else EVENTS // 8]
        seconds, receiver, collector = _measure(mine, size)
        factor = 100_000 / len(mine)
        yield f"| {size} | {len(mine) / seconds:,.0f} | {receiver * factor:.1f} | {collector * factor:.1f} |"


def _measure(lines: list[bytes], size: int) -> tuple[float, float, float]:
    """Seconds, and CPU seconds of receiver and collector. The receiver is a process of its own."""
    bodies = [list_of(*lines[start : start + size]) for start in range(0, len(lines), size)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            victoria_logs(folder) as store,
            running(ShippingCollector(folder / "collector", victoria_logs_sink(store))) as collector,
        ):
            authority = Authority(folder / "pki")
            ready, finish = os.pipe(), os.pipe()
            child = os.fork()
            if child == 0:
                _serve(authority, collector.address, ready[1], finish[0])
            port = int(os.read(ready[0], 16))
            before, began = collector.cpu(), time.perf_counter()
            _post(bodies, f"https://127.0.0.1:{port}/audit", authority)
            seconds = time.perf_counter() - began
            used = collector.cpu() - before
            os.write(finish[1], b".")
            _, _, usage = os.wait4(child, 0)
            return seconds, usage.ru_utime + usage.ru_stime, used


def _serve(authority: Authority, address: str, ready: int, finish: int) -> None:
    with RunningGateway(authority, address) as gateway:
        os.write(ready, str(gateway.port).encode())
        os.read(finish, 1)
    sys.stdout.flush()
    os._exit(0)


def _post(bodies: list[bytes], url: str, authority: Authority) -> None:
    """On eight connections that stay, as API servers do."""
    context = ssl.create_default_context(cafile=authority.certificate)
    context.load_cert_chain(authority.folder / "api-server.crt", authority.folder / "api-server.key")
    local = threading.local()
    host = url.split("/")[2]

    def send(body: bytes) -> None:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPSConnection(host, context=context)
        local.connection.request("POST", "/audit", body)
        answer = local.connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"answered with {answer.status}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, bodies))
