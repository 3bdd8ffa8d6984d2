"""What it costs to seal and to verify a million records: CPU, memory, and bytes that are kept."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit_operator.integrity.interval import Interval, to_nanoseconds
from audit_operator.integrity.keys import SigningKey
from audit_operator.integrity.record import StoredRecord
from audit_operator.integrity.seal import Scope
from audit_operator.sinks.scanning import Batch, Stream
from audit_operator.sinks.sealing import Sealed, Sealer
from audit_operator.sinks.verifying import Question, verify
from tests.sinks.stored import MemoryArchive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

RECORDS, BYTES, BATCH = 1_000_000, 1_200, 1_000
HOUR = Interval(datetime(2026, 11, 28, 10, tzinfo=UTC), datetime(2026, 11, 28, 11, tzinfo=UTC))
_MIB = 2**10
"""Of the kibibytes that the kernel counts in."""


@dataclass(frozen=True)
class _Generated:
    """Records that are made while they are read, so that their memory is not counted; some may be left out."""

    without: frozenset[int] = frozenset()
    by_time = True

    async def scan(self, span: Interval, stream: Stream) -> AsyncIterator[Batch]:
        del stream
        chance, begin = random.Random(7), to_nanoseconds(HOUR.since)  # the same each time
        step = HOUR.length // timedelta(microseconds=1) * 1000 // RECORDS
        records = []
        for number in range(RECORDS):
            audit_id = str(uuid.UUID(int=chance.getrandbits(128)))
            text = json.dumps({"auditID": audit_id}).ljust(BYTES)
            of = {"auditID": audit_id, "stage": "ResponseComplete", "namespace": f"team-{number % 100}", "verb": "get"}
            record = StoredRecord(begin + number * step, text, of)
            if number not in self.without and span.holds(record.nanoseconds):
                records.append(record)
            if len(records) == BATCH:
                yield Batch(tuple(records))
                records = []
        yield Batch(tuple(records))


def run() -> Iterator[str]:
    """Rows of a table."""
    yield f"{RECORDS:,} records of {BYTES:,} bytes in one hour and 100 namespaces, made while they are read."
    yield ""
    yield "| | CPU s | of that, to make the records | highest RSS MiB |"
    yield "|---|---|---|---|"
    archive, key, scope = MemoryArchive(), SigningKey.make(), Scope(sink="ClusterAuditSink/central")
    making = _seconds(_drain())
    yield _row("reading alone", making, making)
    yield _row("sealing", _seconds(_seal(Sealer(scope, _Generated(), archive, key))), making)
    question = Question(scope, (key.public,), HOUR.until, timedelta(hours=1))
    for name, without in (("as sealed", frozenset()), ("with one record removed", frozenset({RECORDS // 2}))):
        seconds = _seconds(_verify(question, _Generated(without), archive, len(without)))
        yield _row(f"verifying, {name}", seconds, making)
    for name, content in archive.objects.items():
        yield f"\n{name.partition('.')[2]}: {len(content):,} bytes, {len(content) / RECORDS:.3f} a record"


def _seconds(work: Coroutine[Any, Any, None]) -> float:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # highest memory, from now on
    began = time.process_time()
    asyncio.run(work)
    return time.process_time() - began


async def _seal(sealer: Sealer) -> None:
    assert isinstance(await sealer.seal(HOUR, HOUR.until), Sealed)


async def _verify(question: Question, scanner: _Generated, archive: MemoryArchive, expected: int) -> None:
    found = (await verify(question, scanner, archive)).discoveries
    assert len(found) == expected, found


async def _drain() -> None:
    async for _ in _Generated().scan(HOUR, Stream()):
        pass


def _row(name: str, seconds: float, making: float) -> str:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    highest = int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / _MIB
    return f"| {name} | {seconds:.0f} | {making:.0f} | {highest:.0f} |"
