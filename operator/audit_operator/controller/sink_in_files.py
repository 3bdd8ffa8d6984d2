"""A sink whose object and Secrets are files: a reader needs no right to read either from the API server."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.parsing import parse_object
from audit_operator.api.sink import ClusterAuditSink
from audit_operator.cluster.secrets import SecretUnreadable, SecretValues
from audit_operator.controller.sink_access import Stores
from audit_operator.policy.document import parse_document
from audit_operator.sinks.access import failure
from audit_operator.sinks.network import Network
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit_operator.controller.sink_access import OpenStore
    from audit_operator.sinks.store import Store

_LOOK_EVERY = 5.0
_WRONG = failure(Reason.ADDRESS_INVALID, "the reader's file holds no ClusterAuditSink")


@dataclass(frozen=True, slots=True)
class SecretsInFolders:
    """Secrets as they are mounted: a folder for each, named like it, with a file for each key."""

    folder: Path

    async def read(self, namespace: str, name: str) -> SecretValues | SecretUnreadable:
        """The values of one Secret."""
        try:
            return await asyncio.to_thread(self._read, name)
        except OSError:
            said = f"Secret {namespace}/{name} is not mounted"
            return SecretUnreadable(said, f"mount it at {self.folder / name}")

    def _read(self, name: str) -> SecretValues:
        # The kubelet has folders of its own there, whose names begin with a dot.
        files = [each for each in (self.folder / name).iterdir() if each.is_file() and not each.name.startswith(".")]
        return SecretValues({each.name: each.read_bytes() for each in files})


@dataclass(slots=True)
class SinkInFiles:
    """The store of such a sink; looked at anew every few seconds, so that renewed credentials are used.

    Attributes:
        file: with a ClusterAuditSink, in YAML or JSON.
        secrets: with the Secrets that it names, whatever namespace it says that they are in.
        now: a clock that never goes back.
        complaint: why it could not be opened when it was looked at last; empty where it could.
    """

    file: Path
    secrets: Path
    now: Callable[[], float] = time.monotonic
    complaint: str = "it was not looked at yet"
    _open: OpenStore | None = None
    _looked: float | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def store(self) -> Store | Failure:
        """The store, or why it cannot be asked."""
        async with self._lock:
            if self._open is not None and self._looked is not None and self.now() - self._looked < _LOOK_EVERY:
                return self._open.store
            opened = await self._opened()
            self._looked = self.now()
            self.complaint = opened.message if isinstance(opened, Failure) else ""
            if isinstance(opened, Failure):
                self._open = None
                return opened
            self._open = opened
            return opened.store

    async def _opened(self) -> OpenStore | Failure:
        try:
            text = await asyncio.to_thread(self.file.read_text, "utf-8")
        except (OSError, ValueError):
            return _WRONG
        document = parse_document(text).value
        sink = parse_object(document) if isinstance(document, dict) else None
        if not isinstance(sink, ClusterAuditSink):
            return _WRONG
        stores = Stores(SecretsInFolders(self.secrets), Network(), Network())
        return await stores.open(sink, self._open)
