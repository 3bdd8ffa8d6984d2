"""Asks the stores of sinks, from time to time, whether they take records and what they throw away.

A tenant's store may be slow, hostile, or one of many. So tenants are asked apart from the platform, one sink of a
namespace at a time, and those that have not answered apart from those that have: nobody waits for a stranger's store.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from audit_operator.api.sink import AuditSink
from audit_operator.api.store_observations import StoreState
from audit_operator.controller.origins import origin
from audit_operator.controller.sink_access import OpenStore
from audit_operator.sinks.access import failure
from audit_operator.sinks.store import Failure, Health, Reason
from audit_operator.sinks.store_watch import Asked, StoreWatch, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.store_observations import StoreObservation
    from audit_operator.controller.sink_access import Stores
    from audit_operator.plan.sinks import Sink

_LOG = logging.getLogger(__name__)

_PLATFORM, _TENANTS, _SILENT = 3, 3, 2
"""How many are asked at the same time: the platform's, tenants', and tenants' that did not answer the last time."""
_SPREAD = 0.1
"""Part of a pause by which it is shortened or lengthened, so that sinks of one moment do not stay together."""


@dataclass(frozen=True, slots=True)
class CheckTimes:
    """Seconds: between two questions, until an answer must be there, and for the first repetition of one without."""

    every: float = 60.0
    patience: float = 10.0
    again: float = 5.0
    longest: float = 300.0

    def pause(self, failures: int) -> float:
        """How long to wait after so many questions in a row without success."""
        if not failures:
            return self.every
        return min(
            self.again if failures == 1 else self.every * 2.0 ** min(failures - 2, 16), max(self.longest, self.every)
        )


@dataclass(slots=True)
class SinkChecks:
    """Asks those sinks that it is told to follow; `on_change` is called when something else is true of one.

    `observations` has what was found, by sink; one that was never asked is absent. `tenants` says whether stores are
    asked whose addresses tenants choose.
    """

    stores: Stores
    on_change: Callable[[], None]
    times: CheckTimes = field(default_factory=CheckTimes)
    tenants: bool = True
    clock: Callable[[], float] = time.monotonic
    observations: dict[ObjectRef, StoreObservation] = field(default_factory=dict)
    _followed: dict[ObjectRef, tuple[Sink, asyncio.Task[None]]] = field(default_factory=dict)
    _platform: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_PLATFORM))
    _tenants: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_TENANTS))
    _silent: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_SILENT))
    _namespaces: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def follow(self, sinks: Iterable[Sink]) -> None:
        """Ask these, and no others. A sink whose spec changed is another one: what was found says nothing about it."""
        wanted = {each.ref: each for each in sinks if self.tenants or not isinstance(each, AuditSink)}
        for ref, (sink, task) in list(self._followed.items()):
            if ref not in wanted or wanted[ref].spec != sink.spec:
                task.cancel()
                del self._followed[ref]
                self.observations.pop(ref, None)
        for ref, sink in wanted.items():
            if ref not in self._followed:
                self._followed[ref] = sink, asyncio.create_task(self._attend(sink), name=f"ask {ref}")
        for namespace in set(self._namespaces) - {each.namespace for each in self._followed}:
            del self._namespaces[namespace]

    async def aclose(self) -> None:
        """Ask no more."""
        tasks = [task for _, task in self._followed.values()]
        self._followed.clear()
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _attend(self, sink: Sink) -> None:
        watch, known = StoreWatch(), None
        await asyncio.sleep(random.uniform(0.0, min(self.times.again, self.times.every)))  # noqa: S311  # spreads load
        while True:
            async with AsyncExitStack() as turn:
                for each in self._queues(sink, watch):
                    await turn.enter_async_context(each)
                asked, known = await self._ask(sink, known)
            self._note(sink, asked, watch.note(self.clock(), asked))
            pause = self.times.pause(watch.failures)
            await asyncio.sleep(pause * random.uniform(1.0 - _SPREAD, 1.0 + _SPREAD))  # noqa: S311  # spreads load

    def _queues(self, sink: Sink, watch: StoreWatch) -> tuple[asyncio.Lock | asyncio.Semaphore, ...]:
        """Whom it must wait for, first those of its own namespace."""
        if not isinstance(sink, AuditSink):
            return (self._platform,)
        return self._namespaces[sink.metadata.namespace], self._silent if watch.failures else self._tenants

    async def _ask(self, sink: Sink, known: OpenStore | None) -> tuple[Asked, OpenStore | None]:
        """Ask once. Raises nothing: a bug must not be the end of asking."""
        began, opened = self.clock(), None
        try:
            opened = await self.stores.open(sink, known)
            if isinstance(opened, Failure):
                return Asked(opened), None
            async with asyncio.timeout(self.times.patience):
                answer = await ask(opened.store)
        except TimeoutError:
            answer = failure(Reason.TIMED_OUT, f"the store did not answer within {self.times.patience:g} s")
        except Exception as error:  # noqa: BLE001 - see the docstring
            # Without the error's text, which may quote what a Secret holds.
            extra = {"object": str(sink.ref), "reason": type(error).__name__}
            _LOG.error("A store could not be asked: %s", origin(error), extra=extra)
            answer = failure(Reason.CUT_OFF, "the store could not be asked; the operator's log says why")
        health = answer if isinstance(answer, Health) else None
        trouble = None if isinstance(answer, Health) else answer
        return Asked(trouble, health, self.clock() - began), opened if isinstance(opened, OpenStore) else None

    def _note(self, sink: Sink, asked: Asked, seen: StoreObservation) -> None:
        ref = sink.ref
        if ref not in self._followed or self._followed[ref][0].spec != sink.spec:
            return
        shown = seen if isinstance(sink, AuditSink) else _for_all(asked, seen)
        before, self.observations[ref] = self.observations.get(ref), shown
        if shown == before:
            return
        if shown.drops or shown.state not in (StoreState.TAKING, StoreState.NOT_ASKED):
            said = asked.trouble.message if isinstance(asked.trouble, Failure) else shown.message
            extra = {"object": str(ref), "reason": shown.state.value, "drops": list(shown.drops)}
            _LOG.warning("Asked a store: %s", said or "it takes records", extra=extra)
        self.on_change()


def _for_all(asked: Asked, seen: StoreObservation) -> StoreObservation:
    """Of a platform's sink: its Secrets are named to nobody in whose status this stands; the log names them."""
    if not isinstance(asked.trouble, Failure) or asked.trouble.reason not in _ABOUT_SECRETS or not seen.message:
        return seen
    return replace(seen, message="the Secrets of this sink cannot be used", mend="let its owner see the operator's log")


_ABOUT_SECRETS = (Reason.SECRET_UNREADABLE, Reason.CREDENTIALS_INVALID)
