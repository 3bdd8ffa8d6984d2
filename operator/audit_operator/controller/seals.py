"""Looks into the archives of seals from time to time: is every interval sealed, and what have verifications reported?

The operator makes no seals and reads no records: it has neither the key nor the memory for that. But whoever can stop
those who do must not be able to keep a status green. So it asks the archive itself, counts by its own clock, and
remembers the last seal in the sink's status, which is read as the API server has it before each look.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from audit_operator.api.findings import ObjectRef
from audit_operator.api.seal_observations import SealFigures, SealObservation
from audit_operator.api.sink import ClusterAuditSink
from audit_operator.api.sink_seals import SealState
from audit_operator.api.text import hours
from audit_operator.cluster.resources import resource_of
from audit_operator.cluster.rest import ApiError, ApiUnreachableError
from audit_operator.controller.origins import origin
from audit_operator.controller.seal_memory import forgotten, last_seal, observed, remembered
from audit_operator.integrity.chain import Times
from audit_operator.integrity.keys import KeyUnusableError, VerifyKey
from audit_operator.integrity.signed import Scope
from audit_operator.integrity.standing import standing
from audit_operator.integrity.watch import Watch
from audit_operator.plan.retention import store_of
from audit_operator.sinks.access import failure
from audit_operator.sinks.seal_archive import folder_of
from audit_operator.sinks.seal_opening import archive_of
from audit_operator.sinks.seal_watching import Reports, begin_of, look
from audit_operator.sinks.store import Failure, Reason, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from audit_operator.api.sink_seals import Seals, SealsOfSink, SealVerification
    from audit_operator.cluster.resources import Resource
    from audit_operator.cluster.rest import Document
    from audit_operator.controller.sink_access import OpenStore
    from audit_operator.integrity.standing import Standing
    from audit_operator.integrity.watch import Sight
    from audit_operator.plan.sinks import Sink
    from audit_operator.sinks.seal_archive import SealArchive
    from audit_operator.sinks.store import Store

_LOG = logging.getLogger(__name__)
_AT_ONCE = 2
_LONGEST = 1024
_SPREAD = 0.1
_SOON = 5.0
"""Seconds within which a sink that is new has its turn."""
_AGAIN = 60.0
"""Seconds after which one is tried again whose archive could not be looked at."""
_ABOUT_SECRETS = (Reason.SECRET_UNREADABLE, Reason.CREDENTIALS_INVALID)
_FORGETFUL = (
    "the archive keeps no versions, so that seals can be deleted and made anew between two looks: give the bucket "
    "Object Lock with a default retention"
)
_HIDDEN = "the Secrets of the archive's sink cannot be used (let its owner see the operator's log)"


class SinkObjects(Protocol):
    """Where sinks are read as the API server has them."""

    async def get(self, resource: Resource, *, name: str, namespace: str = "") -> Document:
        """One object. Raises ApiError, ApiUnreachableError."""
        ...


class ArchiveStores(Protocol):
    """Where stores are opened."""

    async def open(self, sink: Sink, known: OpenStore | None = None) -> OpenStore | Failure:
        """The store of a sink."""
        ...


@dataclass(frozen=True, slots=True)
class LookTimes:
    """Seconds: between two looks, and until the archive must have answered everything in one."""

    every: float = 600.0
    patience: float = 300.0


@dataclass(slots=True)
class _Followed:
    """A sink that is sealed, the one that keeps the seals, if there is any, and the task that sees to it."""

    sink: ClusterAuditSink
    seals: Seals
    archive: ClusterAuditSink | None
    scope: Scope
    keys: tuple[VerifyKey, ...]
    reports: Reports
    task: asyncio.Task[None] | None = None
    opened: OpenStore | None = None

    @property
    def chain(self) -> str:
        """What tells this chain from others; empty where nobody knows where it is."""
        return f"{store_of(self.archive)} {folder_of(self.scope)}"[:_LONGEST] if self.archive is not None else ""


@dataclass(slots=True)
class SealLooks:
    """Looks at the seals of those sinks that it is told to follow; `on_change` is called when something else is true.

    `observations` has what was seen, by sink; one is absent until what its status said has been read. `now` is the
    time by which seals are missed; `archives` says where a store has those of a chain.
    """

    sinks: SinkObjects
    stores: ArchiveStores
    on_change: Callable[[], None]
    times: LookTimes = field(default_factory=LookTimes)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    archives: Callable[[Store, Scope], SealArchive | Unsupported] = archive_of
    observations: dict[ObjectRef, SealObservation] = field(default_factory=dict)
    _followed: dict[ObjectRef, _Followed] = field(default_factory=dict)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    def follow(self, sinks: Iterable[Sink]) -> None:
        """Look at those that say where their seals are, and at no others."""
        existing = {each.ref: each for each in sinks if isinstance(each, ClusterAuditSink)}
        wanted = {
            ref: _wanted(each, each.spec.seals, existing)
            for ref, each in existing.items()
            if each.spec.seals is not None
        }
        for ref, known in list(self._followed.items()):
            if ref not in wanted or not _is_same(known, wanted[ref]):
                if known.task is not None:
                    known.task.cancel()
                del self._followed[ref]
                self.observations.pop(ref, None)
        for ref, each in wanted.items():
            if ref not in self._followed:
                self._followed[ref] = each
                each.task = asyncio.create_task(self._attend(each), name=f"seals of {ref}")

    async def aclose(self) -> None:
        """Look no more."""
        tasks = [each.task for each in self._followed.values() if each.task is not None]
        self._followed.clear()
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _attend(self, followed: _Followed) -> None:
        pause = random.uniform(0.0, min(_SOON, self.times.every))  # noqa: S311  # spreads load
        while True:
            await asyncio.sleep(pause)
            async with self._turns:
                done = await self._round(followed)
            pause = self.times.every if done else min(_AGAIN, self.times.every)
            pause *= random.uniform(1.0 - _SPREAD, 1.0 + _SPREAD)  # noqa: S311  # spreads load

    async def _round(self, followed: _Followed) -> bool:
        """Once; whether the archive answered. Raises nothing: a bug must not be the end of looking."""
        sink, memory = followed.sink, await self._remembered(followed)
        if memory is None:
            return False
        if sink.ref not in self.observations:
            # What else its status says can be written from now on, however long the archive takes.
            self._note(followed, SealObservation(memory))
        try:
            async with asyncio.timeout(self.times.patience):
                seen = await self._look(followed, memory)
        except TimeoutError:
            seen = failure(Reason.TIMED_OUT, f"the archive did not answer within {self.times.patience:g} s")
        except Exception as error:  # noqa: BLE001 - see the docstring
            # Without the error's text, which may quote what a Secret holds.
            extra = {"object": str(sink.ref), "reason": type(error).__name__}
            _LOG.error("Seals could not be looked at: %s", origin(error), extra=extra)
            seen = failure(Reason.CUT_OFF, "the seals could not be looked at; the operator's log says why")
        if isinstance(seen, SealObservation):
            self._note(followed, seen)
            return True
        self._note(followed, self._without(followed, memory, seen))
        return False

    async def _remembered(self, followed: _Followed) -> SealsOfSink | None:
        """What the status says; None where that is not known, and nothing may be written over it."""
        ref = followed.sink.ref
        try:
            return remembered(await self.sinks.get(resource_of(ref), name=ref.name), followed.chain)
        except (ApiError, ApiUnreachableError) as error:
            extra = {"object": str(ref), "reason": type(error).__name__}
            _LOG.warning("What the status of a sink says about seals cannot be read", extra=extra)
        except Exception as error:  # noqa: BLE001 - a bug must not be the end of looking
            extra = {"object": str(ref), "reason": type(error).__name__}
            _LOG.error("What the status of a sink says about seals was not read: %s", origin(error), extra=extra)
        return None

    async def _look(self, followed: _Followed, memory: SealsOfSink) -> SealObservation | Failure | Unsupported:
        seals, archive = followed.seals, await self._archive(followed)
        if isinstance(archive, Failure | Unsupported):
            return archive
        known, now = last_seal(memory), self.now()
        sight = await look(archive, known.sequence if known is not None else None)
        if isinstance(sight, Failure):
            return sight
        within, watch = timedelta(hours=hours(seals.within)), Watch(followed.scope, followed.keys, seals.accepted)
        watched = watch.judge(known, sight, Times(now - within, within))
        if seals.verification is None:
            return observed(memory, watched, None, note=_note(sight, None))
        stands = await _stands(followed, archive, sight.numbers, seals.verification, now)
        if isinstance(stands, Failure):
            return stands
        gone = forgotten(memory, followed.reports.good, seals.accepted)
        return observed(memory, watched, stands, gone=gone, note=_note(sight, followed.reports))

    async def _archive(self, followed: _Followed) -> SealArchive | Failure | Unsupported:
        if followed.archive is None:
            name = followed.seals.sink_ref.name
            return Failure(Reason.NOT_FOUND, f"there is no ClusterAuditSink {name}", "create it, or name another")
        opened = await self.stores.open(followed.archive, followed.opened)
        if isinstance(opened, Failure):
            return opened
        followed.opened = opened
        return self.archives(opened.store, followed.scope)

    def _without(self, followed: _Followed, memory: SealsOfSink, found: Failure | Unsupported) -> SealObservation:
        """No answer: what was last seen stays, and is not claimed."""
        if isinstance(found, Unsupported):
            return SealObservation(memory, trouble=found.reason, unsupported=True)
        before = self.observations.get(followed.sink.ref)
        # Its Secrets are named to nobody in whose status this stands; the log names them.
        said = _HIDDEN if found.reason in _ABOUT_SECRETS else f"{found.message} ({found.mend})"
        if before is None or before.trouble != said:
            extra = {"object": str(followed.sink.ref), "reason": found.reason.value}
            _LOG.warning("Seals could not be looked at: %s", found.message, extra=extra)
        figures = replace(before.figures if before else SealFigures(), up=False)
        return SealObservation(memory, trouble=said, figures=figures)

    def _note(self, followed: _Followed, found: SealObservation) -> None:
        ref = followed.sink.ref
        if self._followed.get(ref) is not followed:
            return
        before, self.observations[ref] = self.observations.get(ref), found
        if found == before:
            return
        if found.state not in (None, SealState.SEALED):
            extra = {"object": str(ref), "reason": found.state.value if found.state else ""}
            _LOG.warning("Seals are not as they should be: %s", found.message, extra=extra)
        self.on_change()


async def _stands(
    followed: _Followed, archive: SealArchive, numbers: Iterable[int], asked: SealVerification, now: datetime
) -> Standing | Failure:
    failed = await followed.reports.read(archive)
    if failed is not None:
        return failed
    begins = await begin_of(archive, numbers, followed.scope, followed.keys)
    if isinstance(begins, Failure):
        return begins
    every, kept_for = timedelta(hours=hours(asked.everything_within)), timedelta(hours=hours(asked.kept_for))
    return standing(followed.reports.newest_first(), now, every, kept_for, begins or now - kept_for)


def _wanted(sink: ClusterAuditSink, seals: Seals, existing: Mapping[ObjectRef, ClusterAuditSink]) -> _Followed:
    scope = Scope(sink=f"ClusterAuditSink/{sink.metadata.name}", cluster=seals.cluster, namespace=seals.namespace)
    trusted = seals.verification.public_keys if seals.verification is not None else ()
    archive = existing.get(ObjectRef("ClusterAuditSink", seals.sink_ref.name))
    return _Followed(sink, seals, archive, scope, _keys(seals.public_keys), Reports(scope, _keys(trusted)))


def _keys(texts: Iterable[str]) -> tuple[VerifyKey, ...]:
    """Those that are keys. What another has signed is signed by none that is trusted."""
    keys = []
    for text in texts:
        with suppress(KeyUnusableError):
            keys.append(VerifyKey.read(text.encode()))
    return tuple(keys)


def _is_same(known: _Followed, wanted: _Followed) -> bool:
    before, after = (each.archive.spec if each.archive is not None else None for each in (known, wanted))
    return known.sink.spec == wanted.sink.spec and before == after


def _note(sight: Sight, reports: Reports | None) -> str:
    said = []
    if sight.numbers and not sight.remembers:
        said.append(_FORGETFUL)
    if reports is not None and reports.unusable:
        said.append(f"report {max(reports.unusable)} of a verification does not count: no trusted key has signed it")
    return "; ".join(said)
