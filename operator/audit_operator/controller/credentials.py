"""What shippers need to write to sinks, from the Secrets that these name, and kept up to date.

A Secret that cannot be read, or does not hold what its sink needs, concerns that sink alone. So does a certificate that
cannot be used: a collector that were given it would not start, and nobody's records would be shipped.

To take a sink out of the configuration would lose its records: readers move on. So what could be used last goes on
being used, with a finding, for as long as this process lives and the sink names the same Secrets.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding
from audit_operator.controller.origins import origin
from audit_operator.controller.sink_secrets import read_secrets
from audit_operator.plan.credentials import (
    CA,
    CERTIFICATE,
    KEY,
    HeldCredentials,
    SinkCredentials,
    identity,
    secrets_of,
    sink_credentials,
    sink_name,
    unusable,
)
from audit_operator.sinks.access import Access, connect, failure
from audit_operator.sinks.certificates import NotTaken, authorities, client
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.controller.sink_secrets import Secrets
    from audit_operator.plan.sinks import Sink

    Credentials = SinkCredentials | Finding

_LOG = logging.getLogger(__name__)
_AT_ONCE = 8


@dataclass(slots=True)
class SinkSecrets:
    """Reads for those who ship, and tells them when something has changed.

    Attributes:
        secrets: where Secrets are read; how old an answer may be is decided there.
        on_change: is called when a sink that was asked for has other credentials than it had.
        look_every: seconds between two looks.
    """

    secrets: Secrets
    on_change: Callable[[], None]
    look_every: float = 5.0
    _asked: dict[str, tuple[Sink, ...]] = field(default_factory=dict)
    _known: dict[ObjectRef, _Known] = field(default_factory=dict)
    _recalled: dict[str, HeldCredentials] = field(default_factory=dict)
    _at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def of(self, asker: str, sinks: Collection[Sink]) -> dict[ObjectRef, Credentials]:
        """For each sink that names Secrets: what they hold, or why it cannot be written to.

        `asker` is told of changes in these from now on, and in no others that it has asked for.
        """
        self._asked[asker] = tuple(each for each in sinks if secrets_of(each))
        found = await asyncio.gather(*map(self._credentials, self._asked[asker]))
        return {each.ref: credentials for each, credentials in zip(self._asked[asker], found, strict=True)}

    def recall(self, held: Mapping[str, HeldCredentials]) -> None:
        """Take note of what shippers hold already, by the name of the sink: it stays in use without a better."""
        self._recalled |= held

    def forget(self, asker: str) -> None:
        """Somebody has no more use for what he asked for."""
        self._asked.pop(asker, None)

    async def watch(self) -> None:
        """Look again and again, for ever."""
        while True:
            await asyncio.sleep(self.look_every)
            sinks = {each.ref: each for asked in self._asked.values() for each in asked}
            for gone in self._known.keys() - sinks.keys():
                del self._known[gone]
            before = {ref: self._known.get(ref) for ref in sinks}
            for sink in sinks.values():
                await self._credentials(sink)
            if any(self._known.get(ref) != known for ref, known in before.items() if known is not None):
                self.on_change()

    async def _credentials(self, sink: Sink) -> Credentials:
        """What a sink's Secrets hold, or held last. Raises nothing: no tenant's Secret may be the end of shipping."""
        known = self._known.get(sink.ref)
        try:
            async with self._at_once:
                read = await self._read(sink)
            if known is not None and (known.sink, known.read, known.usable) == (sink, read, self._former(sink)):
                return known.credentials  # the very object: what it has reckoned once need not be reckoned again
            made = await asyncio.to_thread(_checked, sink, read) if isinstance(read, SinkCredentials) else read
        except Exception as error:  # noqa: BLE001 - see the docstring
            read = made = unusable(sink, "its Secrets could not be looked at", "see the log of the operator")
            if known is None or known.read != read:
                # Without the error's text, which may quote what a Secret holds.
                extra = {"object": str(sink.ref), "reason": type(error).__name__}
                _LOG.error("The Secrets of a sink could not be looked at: %s", origin(error), extra=extra)
        return self._note(sink, read, made)

    def _note(self, sink: Sink, read: Credentials, made: Credentials) -> Credentials:
        known = self._known.get(sink.ref)
        former = self._former(sink)
        usable = former if isinstance(made, Finding) else made
        if isinstance(made, Finding):
            said = "Shipped to with former credentials: %s" if former else "Not shipped to: %s"
            if known is None or (known.read, known.usable) != (read, former):
                _LOG.warning(said, made.message, extra={"object": str(sink.ref), "reason": made.id})
            made = replace(former, stale=made) if former else made
        self._known[sink.ref] = _Known(sink, read, made, usable)
        if usable is not None:
            self._recalled.pop(sink_name(sink.ref), None)
        return made

    def _former(self, sink: Sink) -> SinkCredentials | None:
        """What could be used last for this sink: here, or by whoever did this before."""
        known, recalled = self._known.get(sink.ref), self._recalled.get(sink_name(sink.ref))
        if known is not None and known.usable is not None and identity(known.sink) == identity(sink):
            return known.usable
        # Others may have asked in vain before shippers said what they hold.
        return recalled.credentials if recalled is not None and recalled.identity == identity(sink) else None

    async def _read(self, sink: Sink) -> Credentials:
        read = await read_secrets(self.secrets, sink)
        return read if isinstance(read, Finding) else sink_credentials(sink, read)


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read for a sink, what came of it, and what could be used last."""

    sink: Sink
    read: Credentials
    credentials: Credentials
    usable: SinkCredentials | None


def _checked(sink: Sink, made: SinkCredentials) -> Credentials:
    """The same as a collector can use it, or why it cannot. Blocks."""
    ca, certificate, key = (made.files.get(name, b"").decode("utf-8", "replace") for name in (CA, CERTIFICATE, KEY))
    if not (ca or certificate):
        return made
    tried = connect("https://localhost", Access(ca=ca, certificate=certificate, key=key))
    where = " and ".join(map(str, secrets_of(sink)))
    if isinstance(tried, Failure):
        return unusable(sink, f"Secret {where}: {tried.message}", tried.mend)
    files = dict(made.files)
    try:
        if ca:
            files[CA] = authorities(files[CA])
        if certificate:
            files[CERTIFICATE], files[KEY] = client(files[CERTIFICATE], files[KEY])
    except NotTaken as refused:
        return unusable(sink, f"Secret {where}: {refused}", failure(Reason.TLS_FILES_INVALID, "").mend)
    return SinkCredentials(files)
