"""A list, and then a watch, again and again: what both together say of one kind in one place is never old for long."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from audit_operator.cluster.resources import Resource
    from audit_operator.cluster.rest import Document, RestClient

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Following(Generic[T]):
    """Objects of one kind, in one namespace or in all, by uid.

    A list follows each watch, so that what a watch has missed is not believed for longer than one lasts.

    Attributes:
        convert: what is kept of an object; None for one of which nothing is.
        on_change: called when something that is kept has changed.
        known: what is kept; None before the first list.
        refusal: what the API server has said in place of the first list.
    """

    client: RestClient
    resource: Resource
    convert: Callable[[Document], T | None]
    on_change: Callable[[], None]
    namespace: str = ""
    watch_seconds: int = 300
    backoff: Backoff = field(default_factory=lambda: Backoff(base=1.0, cap=60.0))
    known: dict[str, T] | None = None
    refusal: str = ""

    async def run(self) -> None:
        """For ever."""
        failures = 0
        while True:
            try:
                listing = await self.client.list(self.resource, self._converted, namespace=self.namespace)
                self._replace(listing.items)
                failures = 0
                await self._watch(listing.resource_version)
            except (ApiError, ApiUnreachableError, InconsistentListError) as error:
                what = f"{self.resource.plural} of {self.namespace}" if self.namespace else self.resource.plural
                _LOG.warning("Cannot follow %s: %s", what, error, extra={"object": what, "reason": "ListFailed"})
                if isinstance(error, ApiError) and self.known is None and self.refusal != error.message:
                    self.refusal = error.message
                    self.on_change()
                await asyncio.sleep(self.backoff.delay(failures))
                failures += 1

    async def _watch(self, version: str) -> None:
        events = self.client.watch(
            self.resource, namespace=self.namespace, resource_version=version, seconds=self.watch_seconds
        )
        async for event in events:
            if event["type"] == "ERROR":
                return
            if event["type"] != "BOOKMARK":
                self._see(event["object"], deleted=event["type"] == "DELETED")

    def _converted(self, document: Document) -> tuple[str, T | None]:
        return document["metadata"]["uid"], self.convert(document)

    def _replace(self, items: Iterable[tuple[str, T | None]]) -> None:
        fresh = {uid: item for uid, item in items if item is not None}
        self.refusal = ""
        if fresh != self.known:
            self.known = fresh
            self.on_change()

    def _see(self, document: Document, *, deleted: bool) -> None:
        if self.known is None:
            return
        uid, item = self._converted(document)
        before = self.known.pop(uid, None)
        if item is not None and not deleted:
            self.known[uid] = item
        if before != self.known.get(uid):
            self.on_change()
