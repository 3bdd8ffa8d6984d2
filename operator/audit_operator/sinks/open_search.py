"""OpenSearch and Elasticsearch: written to as documents of one index, asked with a search.

Both share what is used here: single documents, the search, and an index's settings. Where the index is made by somebody
else, its fields may be of other types than those that we would give them; so what a search finds is compared once more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.exporters import AUDIT_ID, STAGE
from audit_operator.shipping.search_index import NEW_INDEX, TEXT, TIME, document_id
from audit_operator.sinks.access import failure
from audit_operator.sinks.quoting import UNASKABLE, are_askable
from audit_operator.sinks.store import (
    MOST_RECORDS,
    Accepted,
    Failure,
    Found,
    Health,
    Reachable,
    Reason,
    Record,
    Unsupported,
    without_copies,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from audit_operator.sinks.access import Answer, Connection
    from audit_operator.sinks.selection import Selection

_JSON = {"Content-Type": "application/json"}
_NO_DOCUMENTS = frozenset({int(HTTPStatus.BAD_REQUEST)})
"""The answer to a bulk request without documents, given after the user has been recognised."""
_THERE = frozenset({int(HTTPStatus.CONFLICT)})
_NOT_MADE = frozenset({int(each) for each in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)})
"""The index is there, is made by a template of the store's, or is not ours to make."""
_BLOCKS = ("write", "read_only", "read_only_allow_delete")
_NOT_SEARCHED = Unsupported("this release asks an OpenSearch or Elasticsearch for one audit ID at a time")
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
        # No part of the answer may pass for the whole; and an index that is not there yet has no records.
        path = "_search?allow_partial_search_results=false&ignore_unavailable=true"
        answer = await self._post(path, json.dumps(question).encode())
        return answer if isinstance(answer, Failure) else _found(answer, wanted, since)

    async def search(self, selection: Selection) -> AsyncGenerator[Unsupported, None]:  # noqa: ARG002  # Store's
        """See `store.Store`."""
        yield _NOT_SEARCHED

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

    async def _post(self, path: str, body: bytes, *, also: frozenset[int] = frozenset()) -> Answer | Failure:
        return await self.connection.post(f"{self.connection.base}/{self.index}/{path}", body, _JSON, also=also)


def _is(name: str, value: str) -> dict[str, Any]:
    """The second field is there where the first is for the words of a text, as stores make it unless they are told."""
    either = [{"term": {field: value}} for field in (name, f"{name}.keyword")]
    return {"bool": {"should": either, "minimum_should_match": 1}}


def _not_before(since: datetime) -> dict[str, Any]:
    """Stores count in whole milliseconds."""
    floor = since.astimezone(UTC).isoformat(timespec="milliseconds")
    return {"range": {TIME: {"gte": floor}}}


def _found(answer: Answer, wanted: dict[str, str], since: datetime) -> Found | Failure:
    hits = _part(answer, "hits", "hits")
    try:
        records = [_record(dict(each["_source"])) for each in hits or ()]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return _NOT_THEIRS
    if hits is None:
        return _NOT_THEIRS
    asked_for = (
        each
        for each in records
        if each.time >= since and each.audit_id == wanted[AUDIT_ID] and each.stage == wanted.get(STAGE, each.stage)
    )
    found = without_copies(asked_for)
    return replace(found, complete=found.complete and len(hits) <= MOST_RECORDS)


def _record(source: dict[str, Any]) -> Record:
    time = datetime.fromisoformat(source.pop(TIME))
    if time.tzinfo is None:
        raise ValueError
    text = source.pop(TEXT)
    if not isinstance(text, str):
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
