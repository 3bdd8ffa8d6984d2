"""To find the records of one subject in a VictoriaLogs, and to erase them.

A subject is found by names: its own, where records hold it, and its pseudonyms, which are like no other text. Both
stand in an attribute, and in the text of events, as the user or as somebody who was impersonated. All are written into
queries as quoted values alone.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.shipping.exporters import CLUSTER, NAMESPACE
from audit_operator.shipping.redaction.interpreter import text_of
from audit_operator.sinks.access import failure
from audit_operator.sinks.quoting import is_askable, quoted
from audit_operator.sinks.retention.victoria_logs_counts import BOTH, older
from audit_operator.sinks.store import Failure, Reason
from audit_operator.sinks.victoria_logs_scanner import NO_ROW, stored_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from audit_operator.sinks.retention.victoria_logs import VictoriaLogsRetention

_QUERY = "/select/logsql/query"
_UNSEEN, _USER = "unseen", "username"
_LONGEST = 10_000
"""Bytes of names in a filter; the store reads queries of 16 KiB."""
_MALFORMED = failure(Reason.ANSWER_MALFORMED, "the store's answer is not the one that VictoriaLogs gives to a count")
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


@dataclass(frozen=True, slots=True)
class Count:
    """Records of a subject: all, and those that are old enough to be erased."""

    found: int
    erasable: int


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

    async def found_in(self, names: Mapping[str, Names], *, anywhere: bool = False) -> tuple[str, ...] | Failure:
        """Namespaces that have records of the subject, in few questions.

        Of those of which its names are given; `anywhere`: also of others, where it has no name but its own.
        """
        hits: set[str] = set()
        for some in _batches(names):
            clear = next(iter(some.values())).clear
            pseudonyms = [each for one in some.values() for each in one.pseudonyms]
            if not is_askable(clear):
                return _TOO_LONG
            named = _named(Names(clear, tuple(pseudonyms)))
            rows = await self._rows(f"{self._ours()} {named} | stats by ({NAMESPACE}, {_UNSEEN}) count() total")
            if isinstance(rows, Failure):
                return rows
            hits.update(_namespace(each) for each in rows)
        return tuple(sorted(hits if anywhere else hits & names.keys()))

    async def count(self, namespace: str, names: Names, keep: int | None, now: datetime) -> Count | Failure:
        """Records of the subject; `keep` is the age in hours from which they may be erased, None where none may be."""
        old = "!*" if keep is None else older(keep, now, BOTH) if keep else "*"
        rows = await self._rows(f"{self._of(namespace, names)} | stats count() total, count() if ({old}) old")
        if isinstance(rows, Failure):
            return rows
        try:
            return Count(int(rows[0]["total"]), int(rows[0]["old"]))
        except (IndexError, KeyError, ValueError):
            return _MALFORMED

    async def erase(self, namespace: str, names: Names, keep: int, now: datetime) -> int | Failure:
        """Erase those that are at least so old; how many of these are left, counted afterwards."""
        limit = f" {older(keep, now, BOTH)}" if keep else ""
        under_way = await self.store.delete(f"{self._of(namespace, names)}{limit}")
        if isinstance(under_way, Failure):
            return under_way
        left = await self.count(namespace, names, keep, now)
        return left if isinstance(left, Failure) else left.erasable

    async def leaves(self, namespace: str, names: Names, keep: int, now: datetime) -> set[bytes] | Failure:
        """Hashes of what `erase` would erase, as seals have them."""
        limit = f" {older(keep, now, BOTH)}" if keep else ""
        form = {"query": f"{self._of(namespace, names)}{limit}", "allow_partial_response": "0"}
        found: set[bytes] = set()
        async with aclosing(self.store.connection.lines(_QUERY, form, self.store.tenant_headers)) as lines:
            async for line in lines:
                if isinstance(line, Failure):
                    return line
                try:
                    found.add(stored_record(line).leaf())
                except NO_ROW:
                    return _MALFORMED
        return found

    def _ours(self) -> str:
        return f"{CLUSTER}:in({','.join(map(quoted, self.store.clusters))})"

    def _of(self, namespace: str, names: Names) -> str:
        """What finds the records of the subject in a namespace, and no others."""
        of = f"({NAMESPACE}:={quoted(namespace)} or {_UNSEEN}:={quoted(namespace)})"
        if not namespace:
            of = f'({NAMESPACE}:="" {_UNSEEN}:="")'
        return f"{self._ours()} {of} {_named(names)}"

    async def _rows(self, query: str) -> list[dict[str, str]] | Failure:
        form = {"query": query, "allow_partial_response": "0"}
        answer = await self.store.connection.ask(_QUERY, form, self.store.tenant_headers)
        if isinstance(answer, Failure):
            return answer
        try:
            rows = [json.loads(line) for line in answer.body.splitlines() if line]
        except (ValueError, RecursionError):
            return _MALFORMED
        return rows if all(isinstance(each, dict) for each in rows) else _MALFORMED


def _named(names: Names) -> str:
    """Users of that name, and texts that have it as the name of one; a pseudonym, wherever it stands."""
    called = ",".join(map(quoted, (names.clear, *names.pseudonyms)))
    spelled = {
        f'"username":{json.dumps(names.clear, ensure_ascii=False)}',
        f'"username":{text_of([names.clear])[1:-1]}',
    }
    texts = ",".join(map(quoted, (*sorted(spelled), *names.pseudonyms)))
    return f"({_USER}:in({called}) or _msg:contains_any({texts}))"


def _namespace(row: Mapping[str, str]) -> str:
    return str(row.get(NAMESPACE) or row.get(_UNSEEN) or "")


def _batches(names: Mapping[str, Names]) -> Iterator[dict[str, Names]]:
    batch: dict[str, Names] = {}
    size = 0
    for namespace, each in names.items():
        takes = _size(each.pseudonyms)
        if batch and size + takes > _LONGEST:
            yield batch
            batch, size = {}, 0
        batch[namespace] = each
        size += takes
    if batch:
        yield batch


def _size(pseudonyms: Iterable[str]) -> int:
    return sum(2 * (len(quoted(each)) + 1) for each in pseudonyms)
