"""Follows leads through stores, page after page, and notes of each question whether its answer is whole."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.incident.bundle import Asked
from audit_operator.sinks.search import End, search
from audit_operator.sinks.selection import Attribute, Order, Scope, Selection
from audit_operator.sinks.store import Record, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from audit_operator.incident.leads import Lead
    from audit_operator.incident.timeline import Timeline
    from audit_operator.sinks.store import Store

PAGE, MOST = 5000, 50_000
"""Records of one page, and of one question."""
NAMESPACES_AT_ONCE = 32
OF_NONE = ""


@dataclass(slots=True)
class Asking:
    """What is found on the way.

    Attributes:
        stores: by the name of their sink.
        namespaces: whose records; ``""`` for those of none, among which are all that came before shippers had seen
            their namespace.
        tell: hears of each lead that is followed.
    """

    stores: dict[str, Store]
    namespaces: tuple[str, ...]
    timeline: Timeline
    tell: Callable[[str], None]
    asked: list[Asked] = field(default_factory=list)

    async def follow(self, leads: Iterable[Lead]) -> None:
        """Ask every store for each of them."""
        for lead in leads:
            self.tell(lead.why)
            for sink in self.stores:
                await self._ask(sink, lead)

    async def _ask(self, sink: str, lead: Lead) -> None:
        names = self.namespaces if lead.namespace is None else (lead.namespace,)
        read, problem = 0, ""
        for scopes, equal in _questions(names, lead):
            number, problem = await self._page(sink, lead, scopes, equal)
            read += number
            if problem:
                break
        self.asked.append(Asked(sink, lead, names, read, problem))

    async def _page(
        self, sink: str, lead: Lead, scopes: tuple[Scope, ...], equal: tuple[tuple[Attribute, str], ...]
    ) -> tuple[int, str]:
        """Page after page, oldest first; the number of records, and why they are not all, if so."""
        since, read, limit = lead.since, 0, PAGE
        while True:
            selection = Selection(
                scopes, since, lead.until, equal=equal, text=lead.text, limit=limit, order=Order.OLDEST
            )
            last = since
            async with aclosing(search(self.stores[sink], selection)) as found:
                async for each in found:
                    match each:
                        case Record():
                            self.timeline.add(each, sink, lead.why)
                            read, last = read + 1, each.time
                        case End(complete=True):
                            return read, ""
                        case End():
                            pass
                        case Unsupported(reason):
                            return read, f"cannot be asked: {reason}"
                        case failed:
                            return read, f"{failed.message} ({failed.mend})"
            if read >= MOST:
                return read, f"there are more than {MOST:,} records"
            # Those of the last moment come again, and are known by then.
            since, limit = last, limit if last > since else limit * 2


def _questions(
    names: tuple[str, ...], lead: Lead
) -> Iterator[tuple[tuple[Scope, ...], tuple[tuple[Attribute, str], ...]]]:
    """Some namespaces at once; and for each what came before shippers had seen it, which is of no namespace."""
    for start in range(0, len(names), NAMESPACES_AT_ONCE):
        yield tuple(map(Scope, names[start : start + NAMESPACES_AT_ONCE])), lead.equal
    if OF_NONE not in names:
        for name in names:
            yield (Scope(OF_NONE),), (*lead.equal, (Attribute.UNSEEN, name))
