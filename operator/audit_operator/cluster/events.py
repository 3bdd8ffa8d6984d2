"""Events on objects, for the few things that a user must hear of and might not look up in status.

Best effort: an event that cannot be written is dropped, since status says the same. The same thing is not said twice
about an object within `quiet` seconds, and a budget for all objects together keeps a mass of changes from flooding the
API server.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from audit_operator.cluster.rate_limit import RateLimit
from audit_operator.cluster.resources import EVENT, resource_of
from audit_operator.cluster.rest import ApiError, ApiUnreachableError

if TYPE_CHECKING:
    from audit_operator.cluster.facts import Fact
    from audit_operator.cluster.rest import Document, RestClient

_LOG = logging.getLogger(__name__)
_REMEMBERED = 4096
_LONGEST_NOTE = 1024  # bound of `note` in events.k8s.io/v1
_CLUSTER_SCOPED_NAMESPACE = "default"  # where events about cluster-scoped objects live


class EventType(StrEnum):
    """The two types that Kubernetes knows."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Notice:
    """What to tell: `reason` is one CamelCase word, `action` what the operator was doing."""

    type: EventType
    reason: str
    action: str
    note: str


@dataclass(slots=True)
class EventRecorder:
    """Queues notices and writes them as `events.k8s.io/v1`.

    Attributes:
        controller: name of the component, as in ``audit-operator.dev/operator``.
        instance: of this process.
        rate: the budget.
        quiet: seconds during which the same notice about the same object is not repeated.
        queue_size: notices that may wait; further ones are dropped.
    """

    client: RestClient
    controller: str
    instance: str
    quiet: float = 3600.0
    rate: RateLimit = field(default_factory=lambda: RateLimit(per_second=5.0, burst=25))
    queue_size: int = 100
    written: int = 0
    dropped: int = 0
    _said: OrderedDict[tuple[str, Notice], float] = field(default_factory=OrderedDict)
    _queue: asyncio.Queue[Document] = field(init=False)

    def __post_init__(self) -> None:
        self._queue = asyncio.Queue(self.queue_size)

    def record(self, fact: Fact, notice: Notice) -> None:
        """Say something about an object, soon."""
        now, key = asyncio.get_running_loop().time(), (fact.uid, notice)
        if now - self._said.get(key, float("-inf")) < self.quiet:
            return
        try:
            self._queue.put_nowait(self._event(fact, notice))
        except asyncio.QueueFull:
            self.dropped += 1
            return
        self._said[key] = now
        self._said.move_to_end(key)
        while len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)

    async def run(self) -> None:
        """Write for ever. Raises what the client's fence raises."""
        while True:
            event = await self._queue.get()
            await self.rate.wait()
            try:
                await self.client.create(EVENT, event)
                self.written += 1
            except (ApiError, ApiUnreachableError) as error:
                self.dropped += 1
                _LOG.warning("Cannot write an event: %s", error, extra={"reason": "EventNotWritten"})

    def _event(self, fact: Fact, notice: Notice) -> Document:
        resource, ref = resource_of(fact.ref), fact.ref
        regarding = {"apiVersion": resource.api_version, "kind": ref.kind, "name": ref.name, "uid": fact.uid}
        if ref.namespace:
            regarding["namespace"] = ref.namespace
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {
                "name": f"{ref.name[:200]}.{uuid.uuid4().hex[:16]}",
                "namespace": ref.namespace or _CLUSTER_SCOPED_NAMESPACE,
            },
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": notice.type.value,
            "reason": notice.reason,
            "action": notice.action,
            "note": notice.note.encode()[:_LONGEST_NOTE].decode(errors="ignore"),
            "regarding": regarding,
            "reportingController": self.controller,
            "reportingInstance": self.instance[:128],
        }
