"""To find the records of one subject in a VictoriaLogs, and to erase them.

A subject is found by names: its own, where records hold it, and its pseudonyms, which are like no other text. All are
written into queries as quoted values alone.

Whoever sends requests chooses most of what their records hold, and pseudonyms can be read in records. So a name
anywhere in a text makes nobody's record the subject's: the user must have it, or who was impersonated, where the event
has that. All other records that hold a name are counted, for a person to look at.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.integrity.interval import exact
from audit_operator.shipping.exporters import AUDIT_ID, CLUSTER, NAMESPACE, STAGE
from audit_operator.shipping.redaction.interpreter import text_of
from audit_operator.shipping.redaction.pseudonyms import USERS
from audit_operator.sinks import logsql
from audit_operator.sinks.access import failure
from audit_operator.sinks.quoting import is_askable, quoted
from audit_operator.sinks.retention.victoria_logs_counts import BOTH, older
from audit_operator.sinks.store import Failure, Reason
from audit_operator.sinks.victoria_logs_scanner import stored_records

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
    from datetime import datetime

    from audit_operator.integrity.record import StoredRecord
    from audit_operator.sinks.retention.victoria_logs import VictoriaLogsRetention

_UNSEEN, _USER = "unseen", "username"
_AT_ONCE = 100
"""Pseudonyms in one question; the store reads queries of 16 KiB."""
_LONGEST = 10_000
"""Bytes of what names single records, or namespaces, in a filter."""
_MALFORMED = failure(Reason.ANSWER_MALFORMED, "the store's answer is not the one that VictoriaLogs gives to a count")
_TOO_MANY = failure(Reason.QUESTION_INVALID, "too many namespaces have records from before shippers knew them")
_TOO_LONG = failure(Reason.QUESTION_INVALID, "the subject's name is empty, or too long to be asked for")


@dataclass(frozen=True, slots=True)
class Names:
    """What a subject is called in the records of one namespace.

    Attributes:
        clear: its own name.
        pseudonyms: under all keys that are left.
    """

    clear: str
    pseudonyms: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(filter(None, (self.clear, *self.pseudonyms)))

    def parts(self) -> Iterator[Names]:
        """So many as one question can have, again and again; its own name is in the first alone."""
        yield Names(self.clear, self.pseudonyms[:_AT_ONCE])
        for start in range(_AT_ONCE, len(self.pseudonyms), _AT_ONCE):
            yield Names("", self.pseudonyms[start : start + _AT_ONCE])


@dataclass(frozen=True, slots=True)
class MadeUp:
    """Namespaces that no shipper knew, which a request can make up: all but these."""

    but: tuple[str, ...] = ()


Where = str | MadeUp
"""Whose records: a namespace's, ``""`` of none, or those of namespaces that nobody knows."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Namespaces that have records with a name of the subject.

    Attributes:
        namespaces: in order.
        made_up: those of which no shipper knew, if there are any.
    """

    namespaces: tuple[str, ...]
    made_up: MadeUp | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """Records of a subject: all, and those that are old enough to be erased; and others that hold its name."""

    found: int
    erasable: int
    mentioned: int = 0


@dataclass(slots=True)
class _Texts:
    """Records whose user is another: those in which the subject was impersonated, and how many others hold a name.

    `theirs` has them by hash: two questions may have found the same one.
    """

    theirs: dict[bytes, StoredRecord] = field(default_factory=dict)
    mentions: int = 0


@dataclass(frozen=True, slots=True)
class SubjectErasure:
    """In one tenant of a VictoriaLogs."""

    store: VictoriaLogsRetention

    async def can_erase(self) -> bool | Failure:
        """Whether its delete API is enabled, and may be used."""
        return await self.store.can_delete()

    async def namespaces(self) -> tuple[str, ...] | Failure:
        """All that shippers knew when they shipped records of them, whether they still exist or not; ``""``: of none.

        In others, which a request can make up, nobody had a key.
        """
        rows = await self._rows(f"{self._ours()} | stats by ({NAMESPACE}) count() total")
        return rows if isinstance(rows, Failure) else tuple(sorted({str(each.get(NAMESPACE) or "") for each in rows}))

    async def found_in(self, names: Mapping[str, Names], *, known: Iterable[str] | None = None) -> Hits | Failure:
        """Namespaces that have records with a name of the subject, in few questions.

        Of those of which its names are given; with `known`: also of these, and of others, where it has no name but its
        own. These count as one: whoever sends requests makes up as many as they like.
        """
        hits: set[tuple[str, str]] = set()
        for each in _together(names):
            if not is_askable(next(iter(each.all), "")):
                return _TOO_LONG
            named = _named(each)
            rows = await self._rows(f"{self._ours()} {named} | stats by ({NAMESPACE}, {_UNSEEN}) count() total")
            if isinstance(rows, Failure):
                return rows
            hits.update((str(row.get(NAMESPACE) or ""), str(row.get(_UNSEEN) or "")) for row in rows)
        spoken = {namespace or unseen for namespace, unseen in hits}
        if known is None:
            return Hits(tuple(sorted(spoken & names.keys())))
        apart = spoken & {*names, *known}
        unseen = {each for namespace, each in hits if not namespace and each}
        made_up = MadeUp(tuple(sorted(unseen & apart))) if unseen - apart else None
        if made_up is not None and sum(len(quoted(each)) + 1 for each in made_up.but) > _LONGEST:
            return _TOO_MANY
        return Hits(tuple(sorted(apart)), made_up)

    async def count(self, where: Where, names: Names, keep: int | None, now: datetime) -> Count | Failure:
        """Records of the subject; `keep` is the age in hours from which they may be erased, None where none may be."""
        old = "!*" if keep is None else older(keep, now, BOTH) if keep else "*"
        found, erasable = 0, 0
        for each in names.parts():
            users = f"{self._of(where)} {_users(each)}"
            rows = await self._rows(f"{users} | stats count() total, count() if ({old}) old")
            if isinstance(rows, Failure):
                return rows
            try:
                found, erasable = found + int(rows[0]["total"]), erasable + int(rows[0]["old"])
            except (IndexError, KeyError, ValueError):
                return _MALFORMED
        texts = await self._texts(where, names)
        if isinstance(texts, Failure):
            return texts
        aged = await self._texts(where, names, old) if keep and texts.theirs else texts
        if isinstance(aged, Failure):
            return aged
        more = 0 if keep is None else len(aged.theirs)
        return Count(found + len(texts.theirs), erasable + more, texts.mentions)

    async def erase(self, where: Where, names: Names, keep: int, now: datetime) -> int | Failure:
        """Erase those that are at least so old; how many of these are left, counted afterwards."""
        limit = f" {older(keep, now, BOTH)}" if keep else ""
        texts = await self._texts(where, names, limit)
        if isinstance(texts, Failure):
            return texts
        for each in (*map(_users, names.parts()), *_one_by_one(texts.theirs.values())):
            under_way = await self.store.delete(f"{self._of(where)} {each}{limit}")
            if isinstance(under_way, Failure):
                return under_way
        left = await self.count(where, names, keep, now)
        return left if isinstance(left, Failure) else left.erasable

    async def leaves(self, where: Where, names: Names, keep: int, now: datetime) -> set[bytes] | Failure:
        """Hashes of what `erase` would erase, as seals have them."""
        limit = f" {older(keep, now, BOTH)}" if keep else ""
        texts = await self._texts(where, names, limit)
        if isinstance(texts, Failure):
            return texts
        found = set(texts.theirs)
        for part in names.parts():
            async with aclosing(self._records(f"{self._of(where)} {_users(part)}{limit}")) as records:
                async for each in records:
                    if isinstance(each, Failure):
                        return each
                    found.add(each.leaf())
        return found

    async def _texts(self, where: Where, names: Names, limit: str = "") -> _Texts | Failure:
        """Records of others that hold a name of the subject: with its own eyes, since a store reads no JSON."""
        found, every = _Texts(), frozenset(names.all)
        for part in names.parts():
            query = f"{self._of(where)} {_mentioning(part)} !{_users(part)} {limit}"
            async with aclosing(self._records(query)) as records:
                async for each in records:
                    if isinstance(each, Failure):
                        return each
                    if each.attributes.get(_USER) in every:
                        continue
                    # Clients choose audit IDs, but that there is none.
                    if every.isdisjoint(_users_in(each.text)) or not each.attributes.get(AUDIT_ID):
                        found.mentions += 1
                    else:
                        found.theirs[each.leaf()] = each
        return found

    def _records(self, query: str) -> AsyncGenerator[StoredRecord | Failure, None]:
        return stored_records(self.store.connection, query, self.store.tenant_headers, _MALFORMED)

    def _ours(self) -> str:
        return f"{CLUSTER}:in({','.join(map(quoted, self.store.clusters))})"

    def _of(self, where: Where) -> str:
        """What finds the records of a namespace, and no others."""
        if isinstance(where, MadeUp):
            but = f" !{_UNSEEN}:in({','.join(map(quoted, where.but))})" if where.but else ""
            return f"{self._ours()} {_UNSEEN}:*{but}"
        of = f"({NAMESPACE}:={quoted(where)} or {_UNSEEN}:={quoted(where)})"
        return f'{self._ours()} {of if where else f"""({NAMESPACE}:="" {_UNSEEN}:="")"""}'

    async def _rows(self, query: str) -> list[dict[str, str]] | Failure:
        answer = await self.store.connection.ask(logsql.PATH, logsql.form(query), self.store.tenant_headers)
        if isinstance(answer, Failure):
            return answer
        try:
            rows = [json.loads(line) for line in answer.body.splitlines() if line]
        except (ValueError, RecursionError):
            return _MALFORMED
        return rows if all(isinstance(each, dict) for each in rows) else _MALFORMED


def _users(names: Names) -> str:
    """Records whose user has one of these names."""
    return f"{_USER}:in({','.join(map(quoted, names.all))})"


def _mentioning(names: Names) -> str:
    """Texts that have its own name as that of a user, or a pseudonym, wherever it stands."""
    spelled = {
        f'"username":{json.dumps(names.clear, ensure_ascii=False)}',
        f'"username":{text_of([names.clear])[1:-1]}',
    }
    texts = (*(sorted(spelled) if names.clear else ()), *names.pseudonyms)
    return f"_msg:contains_any({','.join(map(quoted, texts))})"


def _named(names: Names) -> str:
    return f"({_users(names)} or {_mentioning(names)})"


def _users_in(text: str) -> Iterator[str]:
    """Names of the user of an event and of who was impersonated."""
    try:
        event: Any = json.loads(text)
    except (ValueError, RecursionError):
        return
    for each in USERS if isinstance(event, dict) else ():
        user = event.get(each)
        name = user.get("username") if isinstance(user, dict) else None
        if isinstance(name, str):
            yield name


def _one_by_one(records: Iterable[StoredRecord]) -> Iterator[str]:
    """These records, and no others that have the same audit ID, which clients choose: so many as a filter can name."""
    batch: list[str] = []
    size = 0
    for each in records:
        of = each.attributes
        called = (f"{key}:={quoted(of.get(key, ''))}" for key in (AUDIT_ID, STAGE, _USER))
        one = f"({' '.join(called)} _time:[{exact(each.nanoseconds)}, {exact(each.nanoseconds + 1)}))"
        if batch and size + len(one) > _LONGEST:
            yield f"({' or '.join(batch)})"
            batch, size = [], 0
        batch.append(one)
        size += len(one) + len(" or ")
    if batch:
        yield f"({' or '.join(batch)})"


def _together(names: Mapping[str, Names]) -> Iterator[Names]:
    """Its names in all namespaces, so many as one question can have, again and again."""
    clear = next((each.clear for each in names.values()), "")
    if names:
        yield from Names(clear, tuple(each for one in names.values() for each in one.pseudonyms)).parts()
