"""Writes statuses: only those that differ, at a bounded rate, until they are there.

Those that somebody waits for, because the spec has changed, come before those that merely follow from other changes.

An equal status is never written again. Equal means: what the API server returned says the same, times of conditions
aside; or it is what the API server made of the very same status when it was written last (it may add defaults or drop
fields).

Every write is a server-side apply on condition of the object's uid and resource version, so that nothing is said about
a spec that has changed meanwhile, and a leader that has been deposed without knowing cannot overwrite its successor.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.resources import resource_of
from audit_operator.cluster.rest import ApiError, ApiUnreachableError
from audit_operator.cluster.status import status_digest, with_transition_times

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.cluster.facts import Fact, FactStore
    from audit_operator.cluster.rate_limit import RateLimit
    from audit_operator.cluster.rest import RestClient

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EncodedStatus:
    """A status document, packed: ten thousand of them are held at once while they wait."""

    text: str
    digest: bytes

    @classmethod
    def of(cls, status: Mapping[str, Any]) -> EncodedStatus:
        """Pack a status; its conditions need no `lastTransitionTime`."""
        return cls(json.dumps(status, separators=(",", ":")), status_digest(status))


@dataclass(frozen=True, slots=True)
class _Pending:
    """A status to write, and the object as it was when the status was computed."""

    status: EncodedStatus
    basis: Fact
    attempt: int = 0


@dataclass(slots=True)
class StatusStats:
    """What happened since the start, for metrics."""

    written: int = 0
    unchanged: int = 0
    conflicts: int = 0
    retries: int = 0
    dropped: int = 0


@dataclass(slots=True)
class StatusWriter:
    """A queue of statuses with a few workers.

    Attributes:
        field_manager: owner of the fields in server-side apply; must never change between releases.
        now: the present as RFC 3339, for `lastTransitionTime`.
        on_written: called after each write with the object as it was before and the status that it has now.
        on_drift: called when somebody else has changed a status of ours.
    """

    client: RestClient
    store: FactStore
    rate: RateLimit
    field_manager: str
    now: Callable[[], str]
    on_written: Callable[[Fact, Mapping[str, Any]], None] = lambda _fact, _status: None
    on_drift: Callable[[], None] = lambda: None
    workers: int = 8
    backoff: Backoff = field(default_factory=Backoff)
    stats: StatusStats = field(default_factory=StatusStats)
    _pending: dict[ObjectRef, _Pending] = field(default_factory=dict)
    _wanted: dict[ObjectRef, bytes] = field(default_factory=dict)
    _stored_as: dict[ObjectRef, tuple[bytes, bytes]] = field(default_factory=dict)
    _queue: asyncio.PriorityQueue[tuple[bool, int, ObjectRef]] = field(default_factory=asyncio.PriorityQueue)
    _sequence: int = 0
    _queued: set[ObjectRef] = field(default_factory=set)
    _busy: set[ObjectRef] = field(default_factory=set)

    @property
    def pending(self) -> int:
        """Statuses that wait to be written, or to be written again after a failure."""
        return len(self._pending)

    def submit(self, statuses: Mapping[ObjectRef, EncodedStatus], basis: Mapping[ObjectRef, Fact]) -> None:
        """Replace what shall be written: all statuses of one reconciliation, computed from the facts in `basis`."""
        self._wanted = {ref: each.digest for ref, each in statuses.items()}
        self._stored_as = {ref: each for ref, each in self._stored_as.items() if ref in statuses}
        before, self._pending = self._pending, {}
        self._take(statuses, basis, before)

    def amend(self, statuses: Mapping[ObjectRef, EncodedStatus], basis: Mapping[ObjectRef, Fact]) -> None:
        """Replace what shall be written of these objects; what was submitted of others is still to be written."""
        self._wanted |= {ref: each.digest for ref, each in statuses.items()}
        self._take(statuses, basis, {ref: self._pending.pop(ref) for ref in statuses if ref in self._pending})

    def _take(
        self,
        statuses: Mapping[ObjectRef, EncodedStatus],
        basis: Mapping[ObjectRef, Fact],
        before: Mapping[ObjectRef, _Pending],
    ) -> None:
        for ref, status in statuses.items():
            fact, current = basis.get(ref), self.store.get(ref)
            if fact is None or current is None:
                continue
            if self._says(current, status.digest):
                self.stats.unchanged += 1
                continue
            waiting = before.get(ref)
            if waiting is not None and waiting.attempt and waiting.status.digest == status.digest:
                self._pending[ref] = _Pending(status, fact, waiting.attempt)  # its timer is running
            else:
                self._pending[ref] = _Pending(status, fact)
                self._enqueue(ref)

    def observed(self, fact: Fact) -> None:
        """The status of an object changed in the store. Our own writes come by here, too."""
        wanted = self._wanted.get(fact.ref)
        if wanted is None or fact.ref in self._pending or self._says(fact, wanted):
            return
        _LOG.warning("Somebody else changed the status", extra={"object": str(fact.ref), "reason": "StatusDrift"})
        self.on_drift()

    async def run(self) -> None:
        """Write for ever. Raises what the client's fence raises."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.workers):
                group.create_task(self._work(), name=f"status-writer-{number}")

    async def _work(self) -> None:
        while True:
            _, _, ref = await self._queue.get()
            self._queued.discard(ref)
            pending = self._pending.get(ref)
            if pending is None or ref in self._busy or self._writable(ref, pending) is None:
                continue
            self._busy.add(ref)
            try:
                await self.rate.wait()
                await self._try(ref, pending)
            finally:
                self._busy.discard(ref)

    def _writable(self, ref: ObjectRef, pending: _Pending) -> Fact | None:
        """The object as it is now, if this status still has to be written to it; else forget the status."""
        current = self.store.get(ref)
        if current is None or (current.uid, current.generation) != (pending.basis.uid, pending.basis.generation):
            # Gone or changed: a status for what it was is of no use, and the change itself caused a reconciliation.
            self.stats.dropped += 1
        elif self._says(current, pending.status.digest):
            self.stats.unchanged += 1
        else:
            return current
        self._settle(ref, pending)
        return None

    async def _try(self, ref: ObjectRef, pending: _Pending) -> None:
        current = self._writable(ref, pending)
        if current is None:
            return
        try:
            await self._write(current, pending.status)
        except ApiError as error:
            await self._refused(ref, pending, error)
        except ApiUnreachableError as error:
            self._later(ref, pending, error)
        else:
            self._settle(ref, pending)

    async def _write(self, current: Fact, status: EncodedStatus) -> None:
        resource = resource_of(current.ref)
        document = with_transition_times(json.loads(status.text), current.status, self.now())
        metadata = {"name": current.ref.name, "uid": current.uid, "resourceVersion": str(current.version)}
        if current.ref.namespace:
            metadata["namespace"] = current.ref.namespace
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": metadata,
            "status": document,
        }
        answer = await self.client.apply(resource, body, field_manager=self.field_manager, subresource="status")
        self._stored_as[current.ref] = (status.digest, status_digest(answer.get("status") or {}))
        self.stats.written += 1
        self.store.observe(resource, answer)
        self.on_written(current, document)

    async def _refused(self, ref: ObjectRef, pending: _Pending, error: ApiError) -> None:
        if not error.conflict and not error.not_found:
            self._later(ref, pending, error)
            return
        self.stats.conflicts += 1
        if pending.attempt:
            _LOG.info("Still in conflict: %s", error, extra={"object": str(ref), "reason": "StatusConflict"})
        resource = resource_of(ref)
        try:
            self.store.observe(resource, await self.client.get(resource, name=ref.name, namespace=ref.namespace))
        except ApiError as another:
            if not another.not_found:
                self._later(ref, pending, another)
                return
            self.stats.dropped += 1  # deleted; the store will hear of it
            self._settle(ref, pending)
        except ApiUnreachableError as another:
            self._later(ref, pending, another)
        else:
            # The first conflict is a race that the new version settles; only a fight makes it worth waiting.
            self._again(ref, pending, self.backoff.delay(pending.attempt) if pending.attempt else 0.0)

    def _later(self, ref: ObjectRef, pending: _Pending, error: ApiError | ApiUnreachableError) -> None:
        _LOG.warning("Cannot write a status: %s", error, extra={"object": str(ref), "reason": "StatusWriteFailed"})
        self._again(ref, pending, self.backoff.delay(pending.attempt))

    def _again(self, ref: ObjectRef, pending: _Pending, delay: float) -> None:
        self.stats.retries += 1
        if self._pending.get(ref) is pending:
            self._pending[ref] = _Pending(pending.status, pending.basis, pending.attempt + 1)
        asyncio.get_running_loop().call_later(delay, self._enqueue, ref)

    def _settle(self, ref: ObjectRef, pending: _Pending) -> None:
        """Done with this status; a newer one may have been submitted in the meantime."""
        if self._pending.get(ref) is pending:
            del self._pending[ref]
        elif ref in self._pending:
            self._enqueue(ref)

    def _enqueue(self, ref: ObjectRef) -> None:
        if ref not in self._queued:
            fact = self.store.get(ref)
            told = fact is not None and fact.status.generation == fact.generation
            self._sequence += 1
            self._queued.add(ref)
            self._queue.put_nowait((told, self._sequence, ref))

    def _says(self, fact: Fact, wanted: bytes) -> bool:
        observed = fact.status.digest
        return observed == wanted or self._stored_as.get(fact.ref) == (wanted, observed)
