"""A store and an archive in this process, which a test can tamper with."""

from dataclasses import dataclass, field

from audit_operator.sinks.scanning import Batch
from audit_operator.sinks.seal_archive import Inventory, numbers_in, reports_in, warrants_in

_BATCH = 7


@dataclass
class MemoryScanner:
    """Implements `scanning.Scanner`."""

    records: list
    by_time: bool = True
    unreadable: tuple = ()
    failure: object = None  # that ends each reading, if any
    spans: list = field(default_factory=list)

    async def scan(self, span, stream):
        self.spans.append(span)
        found = [each for each in self.records if span.holds(each.nanoseconds) and stream.holds(each)]
        for start in range(0, len(found), _BATCH):
            yield Batch(tuple(found[start : start + _BATCH]))
        if self.unreadable:
            yield Batch(unreadable=self.unreadable)
        if self.failure:
            yield self.failure


@dataclass
class MemoryArchive:
    """Implements `seal_archive.SealArchive`."""

    objects: dict = field(default_factory=dict)

    async def numbers(self):
        return numbers_in(self.objects)

    async def reports(self):
        return reports_in(self.objects)

    async def warrants(self):
        return warrants_in(self.objects)

    async def inventory(self):
        return Inventory(await self.numbers(), (), remembers=True)

    async def read(self, name):
        return self.objects.get(name)

    async def add(self, name, content):
        if name in self.objects:
            return False
        self.objects[name] = content
        return True
