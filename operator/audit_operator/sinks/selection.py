"""Which records are asked for, in typed values alone: nobody's text ever becomes a part of a store's query language.

A selection always names the namespaces that it is about. So whoever makes one has to say whose records they want, and
whoever answers it can see of each record whether it is one of them.
"""

from __future__ import annotations

import heapq
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from audit_operator.shipping.exporters import AUDIT_ID, CLUSTER, NAMESPACE, STAGE
from audit_operator.sinks.quoting import is_askable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.sinks.store import Record


MOST_HELD = 16 * 2**20
"""Bytes of records that a store holds at once for an answer, where it must put them in order here."""


class Order(StrEnum):
    """In which order records come; where there are more than asked for, the first in this order are taken."""

    NEWEST = "newest"
    OLDEST = "oldest"


class Attribute(StrEnum):
    """What a record can be chosen by, under the name that it has in stores."""

    AUDIT_ID = AUDIT_ID
    STAGE = STAGE
    LEVEL = "level"
    VERB = "verb"
    USER = "username"
    API_GROUP = "apiGroup"
    RESOURCE = "resource"
    SUBRESOURCE = "subresource"
    NAME = "name"
    CODE = "code"
    UNSEEN = "unseen"
    """Stands in place of the namespace in records that came before shippers had seen it, which are of no namespace."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The records of one namespace, by what the shipper has stamped on them.

    Attributes:
        namespace: its name; empty for records that are of none, or of one that nobody had seen.
        since: if set, records from before are no part of it: they are of another namespace that had the name. Nor is
            what began before, such as a watch that ended afterwards.
    """

    namespace: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Records of some namespaces and clusters in a time.

    Attributes:
        scopes: the namespaces, each once.
        clusters: values of the attribute `cluster`; none: of all that write to this store.
        since: of the first moment.
        until: of the moment after the last.
        equal: attributes and their values, of each at most one.
        text: what the event must contain, case-sensitive; empty: anything.
        limit: records at most.
        order: see there.
    """

    scopes: tuple[Scope, ...]
    since: datetime
    until: datetime
    clusters: tuple[str, ...] = ()
    equal: tuple[tuple[Attribute, str], ...] = ()
    text: str = ""
    limit: int = 100
    order: Order = Order.NEWEST

    def is_askable(self) -> bool:
        """Whether it names a namespace and no value that a store could not be asked for."""
        values = [*(value for _, value in self.equal), *self.clusters, *filter(None, (self.text,))]
        names = [each.namespace for each in self.scopes if each.namespace]
        return bool(self.scopes) and self.limit > 0 and all(map(is_askable, (*values, *names)))

    def first(self, records: Iterable[Record]) -> list[Record]:
        """As many as a store gives (`store.Store.search`), in the order asked for; holds no more of them than that."""
        newest = self.order is Order.NEWEST
        choose = heapq.nlargest if newest else heapq.nsmallest
        return choose(self.limit + 1, records, key=lambda each: each.time)

    def admits(self, record: Record) -> bool:
        """Whether a record is of these namespaces and clusters, and of this time.

        Asked of every record before it is shown to anybody, whatever the store was asked.
        """
        if self.clusters and record.attributes.get(CLUSTER, "") not in self.clusters:
            return False
        namespace = record.attributes.get(NAMESPACE, "")
        return self.since <= record.time < self.until and any(
            each.namespace == namespace and (each.since is None or record.time >= each.since) for each in self.scopes
        )

    def began_before(self, record: Record) -> bool:
        """Whether a record is of a request that somebody sent before the namespace was made.

        Stores know when an event reached its stage, and cannot be asked for this.
        """
        namespace = record.attributes.get(NAMESPACE, "")
        bounds = [each.since for each in self.scopes if each.namespace == namespace and each.since is not None]
        received = received_at(record) if bounds else None
        return received is not None and all(received < each for each in bounds)

    def matches(self, record: Record) -> bool:
        """Whether a record is asked for: for stores that cannot look themselves."""
        return self.admits(record) and self.describes(record)

    def describes(self, record: Record) -> bool:
        """Whether a record has the attributes and the text that are asked for, whosever it is."""
        own = {**record.attributes, AUDIT_ID: record.audit_id, STAGE: record.stage}
        return all(own.get(name, "") == value for name, value in self.equal) and self.text in record.text


def size(records: Iterable[Record]) -> int:
    """Of their texts, which are most of what they need."""
    return sum(len(each.text) for each in records)


def received_at(record: Record) -> datetime | None:
    """When the API server got the request of an event; None where its text says nothing of it, as that of applications.

    `requestReceivedTimestamp`, https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/.
    """
    try:
        event = json.loads(record.text)
        received = datetime.fromisoformat(event["requestReceivedTimestamp"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return received if received.tzinfo is not None else None
