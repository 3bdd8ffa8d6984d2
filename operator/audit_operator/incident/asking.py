"""Follows leads through stores, page after page, and notes of each question whether its answer is whole."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.incident.bundle import Asked
from audit_operator.sinks.search import End, search
from audit_operator.sinks.selection import Attribute, Order, Scope, Selection
from audit_operator.sinks.store import Failure, Reason, Record, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from audit_operator.incident.leads import Lead
    from audit_operator.incident.timeline import Timeline
    from audit_operator.sinks.store import Store

PAGE, MOST = 5000, 50_000
"""Records of one page, and of one question."""
NAMESPACES_AT_ONCE = 32
OF_NONE = ""
_MOST_UNREAD = 32
"""Questions one after the other of which a store can read nothing, until it is asked no more."""


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
        read, unread, problems = 0, 0, dict[str, None]()
        for scopes, equal in _questions(names, lead):
            found = await self._page(sink, lead, scopes, equal)
            read += found.read
            problems |= dict.fromkeys(filter(None, (found.unread, found.ended)))
            unread = unread + 1 if found.unread and not found.read else 0
            if found.ended or unread == _MOST_UNREAD:
                break
        self.asked.append(Asked(sink, lead, names, read, "; ".join(problems)))

    async def _page(
        self, sink: str, lead: Lead, scopes: tuple[Scope, ...], equal: tuple[tuple[Attribute, str], ...]
    ) -> _Answered:
        """Page after page, oldest first.

        What a store says that it cannot read is no reason to leave out what comes after it.
        """
        since, read, limit, problem = lead.since, 0, PAGE, ""
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
                            return _Answered(read, problem)
                        case End():
                            pass
                        case Unsupported(reason):
                            return _Answered(read, problem, f"cannot be asked: {reason}")
                        case Failure(Reason.ANSWER_INCOMPLETE, message, mend):
                            problem = problem or f"{message} ({mend})"
                            if last == since:
                                return _Answered(read, problem)
                        case failed:
                            return _Answered(read, problem, f"{failed.message} ({failed.mend})")
            if read >= MOST:
                return _Answered(read, problem, f"there are more than {MOST:,} records")
            # Those of the last moment come again, and are known by then.
            since, limit = last, limit if last > since else limit * 2


@dataclass(frozen=True, slots=True)
class _Answered:
    """Records of one question; what the store could not read of them; why nothing more can be asked, if so."""

    read: int
    unread: str = ""
    ended: str = ""


def _questions(
    names: tuple[str, ...], lead: Lead
) -> Iterator[tuple[tuple[Scope, ...], tuple[tuple[Attribute, str], ...]]]:
    """Some namespaces at once; and for each what came before shippers had seen it, which is of no namespace."""
    for start in range(0, len(names), NAMESPACES_AT_ONCE):
        yield tuple(map(Scope, names[start : start + NAMESPACES_AT_ONCE])), lead.equal
    if OF_NONE not in names:
        for name in names:
            yield (Scope(OF_NONE),), (*lead.equal, (Attribute.UNSEEN, name))
