"""OpenSearch and Elasticsearch: written to as documents of one index, asked with a search.

Both share what is used here: single documents, the search, and an index's settings. Where the index is made by somebody
else, its fields may be of other types than those that we would give them; so what a search finds is compared once more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.exporters import AUDIT_ID, CLUSTER, NAMESPACE, STAGE
from audit_operator.shipping.search_index import NEW_INDEX, TEXT, TIME, document_id
from audit_operator.sinks import query_dsl
from audit_operator.sinks.access import failure, refusal
from audit_operator.sinks.open_search_pages import Pages
from audit_operator.sinks.quoting import UNASKABLE, are_askable
from audit_operator.sinks.selection import MOST_HELD, Order
from audit_operator.sinks.store import (
    MOST_RECORDS,
    Accepted,
    Failure,
    Found,
    Health,
    Reachable,
    Reason,
    Record,
    without_copies,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from audit_operator.sinks.access import Answer, Connection
    from audit_operator.sinks.open_search_pages import Hit
    from audit_operator.sinks.selection import Selection

_JSON = {"Content-Type": "application/json"}
_NO_RECORD = (ValueError, KeyError, TypeError, AttributeError, OverflowError, IndexError)
_NOTHING: Mapping[str, str] = MappingProxyType({})
_NO_DOCUMENTS = frozenset({int(HTTPStatus.BAD_REQUEST)})
"""The answer to a bulk request without documents, given after the user has been recognised."""
_THERE = frozenset({int(HTTPStatus.CONFLICT)})
_NOT_MADE = frozenset({int(each) for each in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)})
"""The index is there, is made by a template of the store's, or is not ours to make."""
_BLOCKS = ("write", "read_only", "read_only_allow_delete")
_WHOLE = "allow_partial_search_results=false"
"""No part of an answer may pass for the whole. Nor is it ignored if an index is not available: it may be closed."""
_ANSWERED = frozenset({int(each) for each in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)})
_NOT_THERE, _CLOSED = "index_not_found_exception", "index_closed_exception"
_MOST_BYTES = 2 * MOST_HELD
_MOST_TO_SEARCH = 128 * 2**20
"""Bytes of answers for one search of which not everything was asked for, as where an event must contain something."""
_TOO_MUCH = Failure(
    Reason.ANSWER_TOO_LARGE,
    f"more than {_MOST_TO_SEARCH >> 20} MiB of records would have to be looked through for what they contain",
    "ask for less time, or for more of what the records have in common, such as a user or a resource",
)
_IS_CLOSED = Failure(
    Reason.REFUSED,
    "an index of the sink is closed, so that nobody can tell what is in it",
    "open it, or take it out of the alias",
)
_NOT_THEIRS = failure(Reason.ANSWER_MALFORMED, "the store's answer is not the one that OpenSearch gives")


@dataclass(frozen=True, slots=True)
class OpenSearchStore:
    """One index, alias or data stream of an OpenSearch or Elasticsearch; implements `store.Store`."""

    connection: Connection
    index: str

    async def check(self) -> Reachable | Failure:
        """See `store.Store`. Whether this user may write to this index, a store says only of a document."""
        answer = await self._post("_bulk", b"\n", also=_NO_DOCUMENTS)
        if isinstance(answer, Failure):
            return answer
        if isinstance(_part(answer, "error", "type"), str):
            return Reachable()
        return failure(Reason.REFUSED, f"what answered, with HTTP status {answer.status}, is no such store")

    async def write(self, record: Record) -> Accepted | Failure:
        """See `store.Store`. What is there already counts as taken; an index that is not there is made."""
        made = await self.connection.put(f"/{self.index}", NEW_INDEX.encode(), _JSON, also=_NOT_MADE)
        if isinstance(made, Failure):
            return made
        attributes = {**record.attributes, AUDIT_ID: record.audit_id, STAGE: record.stage}
        document = {**attributes, TIME: record.time.astimezone(UTC).isoformat(), TEXT: record.text}
        path = f"_create/{document_id(attributes, record.text)}"
        answer = await self._post(path, json.dumps(document).encode(), also=_THERE)
        return answer if isinstance(answer, Failure) else Accepted()

    async def find(self, audit_id: str, stage: str | None, *, since: datetime) -> Found | Failure:
        """See `store.Store`. What was written a second ago may not be found yet (`index.refresh_interval`)."""
        if not are_askable(audit_id, stage):
            return UNASKABLE
        wanted = {AUDIT_ID: audit_id} | ({STAGE: stage} if stage is not None else {})
        question = {
            "size": MOST_RECORDS + 1,
            "query": {"bool": {"filter": [*(_is(*each) for each in wanted.items()), _not_before(since)]}},
        }
        answer = await self.look(f"_search?{_WHOLE}", json.dumps(question).encode())
        if answer is None:
            return Found((), 0, complete=True)
        return answer if isinstance(answer, Failure) else _found(answer, wanted, since)

    async def search(self, selection: Selection) -> AsyncGenerator[Record | Failure, None]:
        """See `store.Store`. Holds a page of the answer. What an event must contain is looked for here."""
        fields = await self._exact_fields(selection)
        if isinstance(fields, Failure):
            yield fields
            return
        pages, given, searched, foreign = Pages.of(selection.limit + 1), 0, 0, 0
        while given <= selection.limit and not pages.done:
            whole, size = await self._page(selection, fields, pages)
            if isinstance(whole, Failure):
                yield whole
                return
            found = _selected(whole, selection, fields)
            foreign += sum(record is None for _, record in whole)
            for number, each in enumerate(found[: selection.limit + 1 - given], given):
                if number == selection.limit and foreign:
                    # Who goes on from here will not look at these again: the record would only say that there are more.
                    yield _others(foreign, "there are more such records than were asked for")
                    return
                yield each
            given += len(found)
            searched += size if len(found) < len(whole) else 0
            if searched > _MOST_TO_SEARCH and not pages.done:
                yield _TOO_MUCH
                return
        if foreign:
            yield _others(foreign)

    async def _page(
        self, selection: Selection, fields: dict[str, str], pages: Pages
    ) -> tuple[Sequence[Hit] | Failure, int]:
        """The next documents, and the bytes of the answer; fewer at once where so many are too large."""
        while True:
            question = query_dsl.question(selection, fields, size=pages.size, edge=pages.edge)
            answer = await self.look(f"_search?{_WHOLE}", json.dumps(question).encode(), at_most=_MOST_BYTES)
            if answer is None:
                pages.done = True
                return (), 0
            if not isinstance(answer, Failure):
                hits = _hits(answer)
                return hits if isinstance(hits, Failure) else pages.take(hits), len(answer.body)
            if answer.reason is not Reason.ANSWER_TOO_LARGE or not pages.shrink():
                return answer, 0

    async def _exact_fields(self, selection: Selection) -> dict[str, str] | Failure:
        names = query_dsl.asked_about(selection)
        answer = await self.look(f"_field_caps?fields={names}", b"")
        if answer is None:
            return query_dsl.exact_fields({"fields": {}}, selection)
        return answer if isinstance(answer, Failure) else query_dsl.exact_fields(answer.json(strict=True), selection)

    async def look(self, path: str, question: bytes, *, at_most: int = 0) -> Answer | Failure | None:
        """Ask the index; None where there is none yet, so that it has no records."""
        answer = await self._post(path, question, also=_ANSWERED, at_most=at_most)
        if isinstance(answer, Failure) or answer.status not in _ANSWERED:
            return answer
        said = _part(answer, "error", "type")
        if answer.status == HTTPStatus.NOT_FOUND and said == _NOT_THERE:
            return None
        return _IS_CLOSED if said == _CLOSED else refusal(answer.status)

    async def health(self) -> Health | Failure:
        """See `store.Store`. What it has refused, a store tells nobody but the one who has sent it."""
        answer = await self.connection.get(f"/{self.index}/_settings/index.uuid,index.blocks.*?flat_settings=true")
        if isinstance(answer, Failure):
            return answer
        document = answer.json()
        try:
            return Health(writable=not _is_blocked(document), dropped=None)
        except (TypeError, AttributeError):
            return _NOT_THEIRS

    async def _post(
        self, path: str, body: bytes, *, also: frozenset[int] = frozenset(), at_most: int = 0
    ) -> Answer | Failure:
        url = f"{self.connection.base}/{self.index}/{path}"
        return await self.connection.post(url, body, _JSON, also=also, at_most=at_most)


def _is(name: str, value: str) -> dict[str, Any]:
    """The second field is there where the first is for the words of a text, as stores make it unless they are told.

    It may have no long values, or be missing: so the first is asked for all the words, and what is found compared.
    """
    words = {"match": {name: {"query": value, "operator": "and"}}}
    return {"bool": {"should": [words, {"term": {f"{name}.keyword": value}}], "minimum_should_match": 1}}


def _not_before(since: datetime) -> dict[str, Any]:
    """Stores count in whole milliseconds."""
    floor = since.astimezone(UTC).isoformat(timespec="milliseconds")
    return {"range": {TIME: {"gte": floor}}}


def _found(answer: Answer, wanted: dict[str, str], since: datetime) -> Found | Failure:
    hits = _part(answer, "hits", "hits")
    if not isinstance(hits, list):
        return _NOT_THEIRS
    records = [record for each in hits if (record := _record_of(each)) is not None]
    asked_for = (
        each
        for each in records
        if each.time >= since and each.audit_id == wanted[AUDIT_ID] and each.stage == wanted.get(STAGE, each.stage)
    )
    found = without_copies(asked_for)
    return replace(found, complete=found.complete and len(records) == len(hits) <= MOST_RECORDS)


def _others(number: int, *more: str) -> Failure:
    said = f"{number} of the documents that the store found are none that a shipper wrote, and are not shown"
    return failure(Reason.ANSWER_INCOMPLETE, "; ".join((said, *more)))


def _hits(answer: Answer) -> list[Hit] | Failure:
    document = answer.json(strict=True)
    if isinstance(document, Failure):
        return document
    try:
        # Records of applications have no audit ID.
        return [(int(each["sort"][0]), _record_of(each, {AUDIT_ID: ""})) for each in document["hits"]["hits"]]
    except _NO_RECORD:
        return _NOT_THEIRS


def _record_of(hit: Any, more: Mapping[str, str] = _NOTHING) -> Record | None:
    """The record of a document, with what it may lack; None where it is none that a shipper wrote."""
    try:
        return _record({**more, **hit["_source"]})
    except _NO_RECORD:
        return None


def _selected(hits: Sequence[Hit], selection: Selection, fields: Mapping[str, str]) -> list[Record]:
    """What is asked for beyond what the store could be asked, and what it could only be asked about roughly."""
    newest = selection.order is Order.NEWEST
    records = sorted((record for _, record in hits if record is not None), key=lambda each: each.time, reverse=newest)
    found = [each for each in records if selection.describes(each) and not _is_beside(each, selection)]
    # Whose a record is, a store may have been asked roughly; otherwise it is a finding if it gives others.
    return [each for each in found if selection.admits(each)] if query_dsl.is_rough(fields) else found


def _is_beside(record: Record, selection: Selection) -> bool:
    """Whether a record is there only since its time, in whole milliseconds, is one that was asked for."""
    namespace = record.attributes.get(NAMESPACE, "")
    begins = [selection.since, *(each.since for each in selection.scopes if each.namespace == namespace)]
    early = any(each is not None and record.time < each < record.time + query_dsl.MOMENT for each in begins)
    return early or selection.until <= record.time < selection.until + query_dsl.MOMENT


def _record(source: dict[str, Any]) -> Record:
    time = datetime.fromisoformat(source.pop(TIME))
    if time.tzinfo is None:
        raise ValueError
    text = source.pop(TEXT)
    # Whose it is, a shipper says in one word: a document of several namespaces is of somebody else's making.
    if not all(isinstance(each, str) for each in (text, source.get(NAMESPACE, ""), source.get(CLUSTER, ""))):
        raise TypeError
    fields = {key: str(value) for key, value in source.items()}
    return Record(fields.pop(AUDIT_ID), fields.pop(STAGE, ""), time, text, fields)


def _part(answer: Answer, *names: str) -> Any:
    """What stands under these names in an answer; None where it has another form."""
    value = answer.json()
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _is_blocked(document: dict[str, Any]) -> bool:
    """Whether none of the indices takes writes. Of a data stream's, only the last one does, and the others need not."""
    settings = [each["settings"] for each in document.values() if each.get("settings")]
    blocked = [any(str(each.get(f"index.blocks.{name}")) == "true" for name in _BLOCKS) for each in settings]
    return len(blocked) == len(document) and all(blocked) and bool(blocked)
