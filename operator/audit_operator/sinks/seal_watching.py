"""Looking into an archive: which seals are there, what the last ones say, and what verifications have reported."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.integrity import report as reports
from audit_operator.integrity import seal as seals
from audit_operator.integrity.seal import SealKind
from audit_operator.integrity.watch import Sight
from audit_operator.sinks.seal_archive import report_name, seal_name
from audit_operator.sinks.store import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from audit_operator.integrity.keys import VerifyKey
    from audit_operator.integrity.report import Report
    from audit_operator.integrity.signed import Scope
    from audit_operator.sinks.seal_archive import SealArchive

MOST_SEALS = 1024
"""How many seals one look reads: those of six weeks, hour by hour, if nobody has looked for so long."""
MOST_REPORTS = 400
"""How many reports one look reads, the newest."""
_AT_ONCE = 16


async def look(archive: SealArchive, since: int | None) -> Sight | Failure:
    """What is in an archive; `since` is the number of the seal that is remembered, and None on the first look.

    Read are the last seals from that one on, and those before it down to one of an interval: only such a one says up to
    when everything is sealed.
    """
    there = await archive.inventory()
    if isinstance(there, Failure):
        return there
    numbers = there.numbers
    recent = [each for each in numbers if since is None or each >= since][-MOST_SEALS:]
    wanted = recent if since is not None else recent[-1:]
    held = await read_all(archive, wanted, seal_name)
    if isinstance(held, Failure):
        return held
    earlier = [each for each in numbers if not wanted or each < wanted[0]]
    while earlier and len(held) < MOST_SEALS and (not held or not _is_of_interval(held[min(held)])):
        content = await archive.read(seal_name(number := earlier.pop()))
        if isinstance(content, Failure):
            return content
        held |= {number: content} if content is not None else {}
    return Sight(numbers, there.meddled, held, there.remembers)


async def begin_of(
    archive: SealArchive, numbers: Iterable[int], scope: Scope, keys: Iterable[VerifyKey]
) -> datetime | Failure | None:
    """Begin of what the first of these seals is about; None where that cannot be relied on."""
    first = min(numbers, default=None)
    encoded = await archive.read(seal_name(first)) if first is not None else None
    if isinstance(encoded, Failure):
        return encoded
    seal = seals.decode(encoded) if encoded is not None else None
    if seal is None or seal.scope != scope or not any(each.id == seal.key_id and each.signed(seal) for each in keys):
        return None
    return seal.interval.since


async def read_all(
    archive: SealArchive, numbers: Iterable[int], name: Callable[[int], str]
) -> dict[int, bytes] | Failure:
    """Objects by number, a few at a time; those that are gone are left out."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int) -> tuple[int, bytes | Failure | None]:
        async with places:
            return number, await archive.read(name(number))

    held: dict[int, bytes] = {}
    for number, content in await asyncio.gather(*map(one, numbers)):
        if isinstance(content, Failure):
            return content
        if content is not None:
            held[number] = content
    return held


@dataclass(slots=True)
class Reports:
    """Reports of one chain, each read once: nothing that is kept there is ever written again.

    Attributes:
        good: those whose signature is right, by number.
        unusable: numbers of the others.
    """

    scope: Scope
    keys: tuple[VerifyKey, ...]
    good: dict[int, Report] = field(default_factory=dict)
    unusable: set[int] = field(default_factory=set)

    async def read(self, archive: SealArchive) -> Failure | None:
        """Read those that are new."""
        numbers = await archive.reports()
        if isinstance(numbers, Failure):
            return numbers
        wanted = numbers[-MOST_REPORTS:]
        new = [each for each in wanted if each not in self.good and each not in self.unusable]
        read = await read_all(archive, new, report_name)
        if isinstance(read, Failure):
            return read
        for number, encoded in read.items():
            report = reports.decode(encoded)
            if report is not None and self._is_good(report, number):
                self.good[number] = report
            else:
                self.unusable.add(number)
        self.good = {number: each for number, each in self.good.items() if number in wanted}
        self.unusable &= set(wanted)
        return None

    def newest_first(self) -> list[Report]:
        """The good ones."""
        return [self.good[number] for number in sorted(self.good, reverse=True)]

    def _is_good(self, report: Report, number: int) -> bool:
        keys = {each.id: each for each in self.keys}
        key = keys.get(report.key_id)
        return (report.scope, report.sequence) == (self.scope, number) and key is not None and key.signed(report)


def _is_of_interval(encoded: bytes) -> bool:
    seal = seals.decode(encoded)
    return seal is not None and seal.kind is SealKind.INTERVAL
