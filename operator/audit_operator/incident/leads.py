"""What to ask stores for, in an incident: what somebody names, and then what the answers lead to.

A lead says why it is followed, so that whoever reads the bundle can tell what stands there for which reason. Only what
was named itself leads further, by one step: the second step would be half the log.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from audit_operator.sinks.quoting import is_askable
from audit_operator.sinks.selection import Attribute

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from audit_operator.sinks.store import Record

MOST_FURTHER = 64
"""Leads out of what was found. An audit ID that a client reuses for everything would lead everywhere."""

CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
"""The extra field that tells one token or certificate from the others of the same user (KEP-4193)."""

CORRELATION_ID = "correlationId"
_GO_ESCAPES = str.maketrans({each: f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"})


@dataclass(frozen=True, slots=True)
class Lead:
    """One question to every store.

    Attributes:
        why: in words, for the bundle.
        since, until: the time that it is about.
        equal, text: as in `sinks.selection.Selection`.
        namespace: the only one that it is about; None: all that were named.
    """

    why: str
    since: datetime
    until: datetime
    equal: tuple[tuple[Attribute, str], ...] = ()
    text: str = ""
    namespace: str | None = None

    @property
    def what(self) -> object:
        """What it asks for, whenever that was."""
        return self.equal, self.text, self.namespace


@dataclass(frozen=True, slots=True)
class Named:
    """What somebody names, and the time in which they look.

    Attributes:
        audit_ids, users: as recorded.
        objects: namespace (``""`` for none), resource and name.
        around: how long before and after an event what it leads to is of interest.
    """

    since: datetime
    until: datetime
    audit_ids: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    objects: tuple[tuple[str, str, str], ...] = ()
    around: timedelta = timedelta(minutes=15)


_NO_TIME = Lead("", datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC))


def first_leads(named: Named) -> tuple[Lead, ...]:
    """What is named, and what mentions it."""
    whole = Lead("", named.since, named.until)
    found: list[Lead] = []
    for each in named.audit_ids:
        found += _of_audit_id(whole, each)
    for each in named.users:
        found += _of_user(whole, each)
    found += [_of_object(whole, *each) for each in named.objects]
    if not found:
        found = [replace(whole, why="everything of the time that was named")]
    return tuple(found)


def further_leads(records: Sequence[Record], named: Named, followed: Iterable[Lead]) -> tuple[tuple[Lead, ...], int]:
    """What the records of a named audit ID lead to, and how many leads are too many to follow.

    Each is about the time around those records. What is followed already is left out. What records of an audit ID lead
    to comes first: whoever sent a request knows its ID, and can have any number of lines mention it.
    """
    known = {each.what for each in followed}
    merged: dict[object, Lead] = {}
    own = {lead.what for record in records if _is_of(record, named) for lead in _from_record(_NO_TIME, record)}
    for record in records:
        if not _is_of(record, named) and not _mentions(record, named):
            continue
        whole = Lead("", record.time - named.around, record.time + named.around)
        for lead in _from_record(whole, record):
            if lead.what in known:
                continue
            there = merged.get(lead.what, lead)
            merged[lead.what] = replace(there, since=min(there.since, lead.since), until=max(there.until, lead.until))
    leads = sorted(merged.values(), key=lambda each: (each.what not in own, each.since, each.why))
    return tuple(leads[:MOST_FURTHER]), max(len(leads) - MOST_FURTHER, 0)


def _is_of(record: Record, named: Named) -> bool:
    """Whether it is an API server's record of that request; applications' have no verb."""
    return record.audit_id in named.audit_ids and "verb" in record.attributes


def _mentions(record: Record, named: Named) -> bool:
    return record.audit_id in named.audit_ids or any(each in record.text for each in named.audit_ids)


def _of_audit_id(whole: Lead, audit_id: str) -> Iterator[Lead]:
    yield replace(whole, why=f"audit ID {audit_id}", equal=((Attribute.AUDIT_ID, audit_id),))
    yield replace(whole, why=f"mentions audit ID {audit_id}", text=audit_id)


def _of_user(whole: Lead, user: str) -> Iterator[Lead]:
    """As the one who sent a request, as the one who was impersonated, and as whom an application names."""
    yield replace(whole, why=f"user {user}", equal=((Attribute.USER, user),))
    yield replace(whole, why=f"names user {user}", text=f'"username":{go_json(user)}')


def _of_object(whole: Lead, namespace: str, resource: str, name: str) -> Lead:
    resource, _, subresource = resource.partition("/")
    equal = [(Attribute.RESOURCE, resource), (Attribute.NAME, name)]
    equal += [(Attribute.SUBRESOURCE, subresource)] if subresource else []
    where = f" in {namespace}" if namespace else ""
    return replace(whole, why=f"object {resource}/{name}{where}", equal=tuple(equal), namespace=namespace)


def _from_record(whole: Lead, record: Record) -> Iterator[Lead]:
    event = event_of(record)
    own = record.attributes
    for user in _users(event, own):
        yield from _of_user(whole, user)
    if own.get("resource") and own.get("name"):
        yield _of_object(whole, own.get("namespace", ""), own["resource"], own["name"])
    for credential in _strings(_part(event, "user", "extra", CREDENTIAL_ID)):
        text = f'"{CREDENTIAL_ID}":[{go_json(credential)}'
        if is_askable(text):
            yield replace(whole, why=f"credential {credential}", text=text)
    correlation = own.get(CORRELATION_ID, "")
    if is_askable(correlation):
        yield replace(whole, why=f"correlation ID {correlation}", text=correlation)


def event_of(record: Record) -> dict[str, Any]:
    """The event of a record; empty where its text is none, as an application's may be."""
    try:
        event = json.loads(record.text)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def go_json(text: str) -> str:
    """A string as Go's encoding/json writes it, and so as it stands in an event."""
    return json.dumps(text, ensure_ascii=False).translate(_GO_ESCAPES)


def _users(event: dict[str, Any], attributes: Any) -> list[str]:
    named = [_part(event, "user", "username"), _part(event, "impersonatedUser", "username"), attributes.get("username")]
    return sorted({each for each in named if isinstance(each, str) and is_askable(go_json(each))})


def _part(event: Any, *path: str) -> Any:
    for step in path:
        event = event.get(step) if isinstance(event, dict) else None
    return event


def _strings(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
