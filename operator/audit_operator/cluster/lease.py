"""Which replica may write: a Lease, held by at most one of them.

The algorithm is client-go's (tools/leaderelection): a lease counts as expired when *this* process has seen no change
of it for its duration, measured on its own monotonic clock, so that clocks need not agree; it is taken over and renewed
with the resource version that was read, so that of two candidates one fails. The Kubernetes client's own elector was
not used: it measures with the wall clock, lets a request hang beyond the renewal deadline, and dies of a refused
connection.

Losing is final. `hold` raises, and the process must exit at once: nothing else reliably stops what is under way. Until
then `check` fences every write: a process that was suspended finds out here before it acts on a lease that it has lost.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from audit_operator.cluster.resources import LEASE
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, Document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audit_operator.cluster.resources import Resource

_LOG = logging.getLogger(__name__)


class LeadershipLostError(Exception):
    """This process cannot be sure to lead any more; it must not write, and should exit."""


class LeaseClient(Protocol):
    """What the elector needs of `rest.RestClient`; every call should be tried once, and be short."""

    async def get(self, resource: Resource, *, name: str, namespace: str = "") -> Document:
        """One object."""

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> Document:
        """Create one object."""

    async def replace(self, resource: Resource, body: Mapping[str, Any]) -> Document:
        """Update on condition of the resource version."""


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """Seconds; the defaults are Kubernetes' own.

    Attributes:
        duration: how long others wait, from the last renewal that they saw, before they take over.
        renew_deadline: how long the leader goes on without a successful renewal.
        retry_period: time between two attempts, for the leader and for candidates.
    """

    duration: int = 15
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration > self.renew_deadline > self.retry_period > 0:
            raise ValueError("a lease needs duration > renew_deadline > retry_period > 0")


def monotonic_through_suspend() -> float:
    """Seconds on a clock that goes on while the machine is suspended, where there is one (Linux)."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


@dataclass(slots=True)
class LeaseElector:
    """Acquires, holds and releases one Lease.

    Attributes:
        identity: unique to this process, not only to this pod.
        clock: seconds, monotonic.
        contact_at: `clock` when the API server last answered; candidates use it to tell that they are able to lead.
        transitions: the Lease's count of changes of holder.
    """

    client: LeaseClient
    namespace: str
    name: str
    identity: str
    timing: LeaseTiming = field(default_factory=LeaseTiming)
    clock: Callable[[], float] = monotonic_through_suspend
    contact_at: float = float("-inf")
    transitions: int = 0
    _held: Document | None = None
    _renewed_at: float = float("-inf")
    _seen: Mapping[str, Any] | None = None
    _seen_at: float = float("-inf")

    @property
    def leading(self) -> bool:
        """Whether this process can be sure, now, that no other leads."""
        return self.clock() < self._renewed_at + self.timing.renew_deadline

    def check(self) -> None:
        """Raise LeadershipLostError unless `leading`."""
        if not self.leading:
            raise LeadershipLostError(f"{self.identity} has not renewed the lease for {self.timing.renew_deadline} s")

    async def acquire(self) -> None:
        """Return once this process holds the lease."""
        candidates = random.Random()  # noqa: S311  # keeps candidates apart, protects nothing
        while True:
            if await self._attempt(self.timing.renew_deadline):
                break
            await asyncio.sleep(self.timing.retry_period * candidates.uniform(1.0, 1.2))
        _LOG.info("Leading as %s", self.identity, extra={"reason": "LeaseAcquired"})

    async def hold(self) -> NoReturn:
        """Renew the lease for ever. Raises LeadershipLostError."""
        while True:
            await asyncio.sleep(self.timing.retry_period)
            # Also when the deadline has passed already, because the process was suspended, one attempt is made: if the
            # version that we wrote last is still there, then nobody else has led in between.
            if await self._attempt(max(self.timing.retry_period, self._remaining())):
                continue
            if self._seen is not None and self._seen.get("holderIdentity") != self.identity:
                raise LeadershipLostError(f"the lease is held by {self._seen.get('holderIdentity')!r}")
            if self._remaining() <= 0:
                raise LeadershipLostError(f"{self.identity} could not renew the lease in time")

    async def release(self) -> None:
        """Let another replica take over without waiting; call it after the last write. Never raises ApiError."""
        if self._held is None:
            return
        spec = {**self._held["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": micro_time()}
        lease, self._held, self._renewed_at = self._held, None, float("-inf")
        try:
            async with asyncio.timeout(self.timing.retry_period):
                await self.client.replace(LEASE, {**lease, "spec": spec})
        except (ApiError, ApiUnreachableError, TimeoutError) as error:
            _LOG.warning("Cannot release the lease; it will expire: %s", error, extra={"reason": "LeaseNotReleased"})

    def _remaining(self) -> float:
        return self._renewed_at + self.timing.renew_deadline - self.clock()

    async def _attempt(self, seconds: float) -> bool:
        """Try once to get or keep the lease; whether we hold it now."""
        started = self.clock()
        try:
            async with asyncio.timeout(seconds):
                lease = await self._take(self._held)
        except (ApiError, ApiUnreachableError, TimeoutError) as error:
            # Whatever happened, what we remember of the lease may be out of date: read it before the next attempt.
            self._held = None
            _LOG.warning("Cannot get the lease: %r", error, extra={"reason": "LeaseFailed"})
            return False
        self.contact_at = self.clock()
        if lease is None:
            return False
        self._held = lease
        self._see(lease["spec"])
        self.transitions = lease["spec"]["leaseTransitions"]
        self._renewed_at = started  # others may count from the moment the request was sent, so we do
        return True

    async def _take(self, lease: Document | None) -> Document | None:
        """Write ourselves into the lease if we may; the lease as written, or None."""
        if lease is None:
            try:
                lease = await self.client.get(LEASE, name=self.name, namespace=self.namespace)
            except ApiError as error:
                if not error.not_found:
                    raise
                return await self.client.create(LEASE, self._body({}, {}))
        spec = lease.get("spec") or {}
        self._see(spec)
        if spec.get("holderIdentity") != self.identity and not self._expired(spec):
            return None
        return await self.client.replace(LEASE, self._body(lease["metadata"], spec))

    def _see(self, spec: Mapping[str, Any]) -> None:
        if spec != self._seen:
            self._seen, self._seen_at = spec, self.clock()

    def _expired(self, spec: Mapping[str, Any]) -> bool:
        if not spec.get("holderIdentity"):
            return True
        return self.clock() >= self._seen_at + (spec.get("leaseDurationSeconds") or self.timing.duration)

    def _body(self, metadata: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
        now = micro_time()
        kept = before.get("holderIdentity") == self.identity
        transitions = int(before.get("leaseTransitions") or 0)
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self.name, "namespace": self.namespace, **metadata},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": self.timing.duration,
                "acquireTime": before.get("acquireTime") if kept else now,
                "renewTime": now,
                "leaseTransitions": transitions if kept or not before else transitions + 1,
            },
        }


def micro_time() -> str:
    """The present as a `metav1.MicroTime`; for people to read, never compared."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
