"""How long it takes to ask a real VictoriaLogs about retention, and to have it delete what is due."""

from __future__ import annotations

import asyncio
import json
import resource
import tempfile
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.sinks.retention.protocol import Done, Observed, Order
from audit_operator.sinks.retention.victoria_logs_counts import EITHER, Counted, Part
from tests.integration.shipping.test_retention import count, retention
from tests.integration.shipping.victoria_logs import victoria_logs

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLASSES, _DAYS, _BATCH = 10, 100, 10_000
_SIZES = ((10, 1_000_000), (100, 1_000_000), (1_000, 1_000_000), (10_000, 1_000_000))


def run() -> Iterator[str]:
    """Rows of a table: records of 100 days, deleted after 90 to 99 days, by class."""
    yield "| records | namespaces | ask by filters s | ask s | deleted | delete and count s | ask again s | memory MB |"
    yield "|---|---|---|---|---|---|---|---|"
    for namespaces, records in _SIZES:
        with tempfile.TemporaryDirectory() as folder:
            flags = ("-retentionPeriod=400d", "-delete.enable")
            with victoria_logs(Path(folder), *flags) as url:
                _fill(url, namespaces, records)
                yield asyncio.run(_row(url, namespaces, records))


def _name(number: int) -> str:
    """As long as those are that something generates."""
    return f"team-{number:05}-preview-of-a-branch"


def _fill(url: str, namespaces: int, records: int) -> None:
    now = datetime.now(UTC)
    for first in range(0, records, _BATCH):
        rows = [
            {
                "_time": (now - timedelta(days=number % _DAYS, milliseconds=number)).isoformat(),
                "_msg": "{}",
                "cluster": "main",
                "namespace": _name(number % namespaces),
                "auditID": str(number),
            }
            for number in range(first, first + _BATCH)
        ]
        request = urllib.request.Request(  # noqa: S310  # loopback
            f"{url}/insert/jsonline?_stream_fields=cluster,namespace",
            "\n".join(map(json.dumps, rows)).encode(),
            {"Content-Type": "application/stream+json"},
        )
        with urllib.request.urlopen(request, timeout=60):  # noqa: S310
            pass
    while count(url, "*") < records:
        time.sleep(0.2)


async def _row(url: str, namespaces: int, records: int) -> str:
    store, now = retention(url), datetime.now(UTC)
    classes = [
        RetentionClass(
            Demand(maximum=(90 + number) * 24), tuple(_name(each) for each in range(number, namespaces, _CLASSES))
        )
        for number in range(_CLASSES)
    ]
    orders = [Order(each, each.namespaces, each.demand.maximum) for each in classes]
    parts = [Part(each.namespaces, each.demand.maximum) for each in classes]
    first = time.perf_counter()
    for each in parts:
        counted = await store._counts._by_filters(each, now, EITHER, float("inf"))  # as it was
        if not isinstance(counted, Counted):
            raise TypeError(counted)
    began = time.perf_counter()
    seen = await store.observe(classes, now)
    asked = time.perf_counter()
    done = await store.enforce(orders, now)
    deleted = time.perf_counter()
    again = await store.observe(classes, now)
    end = time.perf_counter()
    if not (isinstance(seen, Observed) and isinstance(again, Observed) and isinstance(done, Done)):
        raise TypeError(done)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    gone = sum(done.deleted.values())
    times = f"{began - first:.2f} | {asked - began:.2f} | {gone:,} | {deleted - asked:.1f} | {end - deleted:.2f}"
    return f"| {records:,} | {namespaces:,} | {times} | {memory} |"
