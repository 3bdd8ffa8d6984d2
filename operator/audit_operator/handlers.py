"""kopf, reduced to what it is best at: watching. Handlers tell the store what they see, and nothing else.

No finalizers, no annotations, no patches, no indices, no timers: the reconciler looks at the whole store, and the store
is listed anew from time to time, because what vanishes in a gap of a watch is never reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kopf

from audit_operator.cluster.resources import GROUP, WATCHED

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

    from audit_operator.cluster.facts import FactStore
    from audit_operator.cluster.resources import Resource


class _NoDiffBase(kopf.DiffBaseStorage):
    """Remembers nothing: there are no handlers that want to know what has changed."""

    def fetch(self, *, body: kopf.Body) -> None:
        """Nothing."""

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        """Nothing is stored."""


class _NoProgress(kopf.ProgressStorage):
    """Remembers nothing: an event is seen and done with."""

    def fetch(self, *, key: Any, body: kopf.Body) -> None:
        """Nothing."""

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing is stored."""

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """There is nothing to purge."""

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: Any) -> None:
        """Nothing is touched."""

    def clear(self, *, essence: Any) -> Any:
        """As it is."""
        return essence


def register(
    store: FactStore, server: str, session: Callable[[], aiohttp.ClientSession], on_gap: Callable[[], None]
) -> kopf.OperatorRegistry:
    """A registry whose handlers feed a store; `on_gap` is called when a watch has begun anew."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(aiohttp_session=session(), server=server)

    for resource in WATCHED:
        _watch(registry, store, resource, on_gap)
    return registry


def _watch(registry: kopf.OperatorRegistry, store: FactStore, resource: Resource, on_gap: Callable[[], None]) -> None:
    labels: Any = {resource.label_selector: kopf.PRESENT} if resource.label_selector else None

    @kopf.on.event(
        resource.group, resource.version, resource.plural, registry=registry, labels=labels, id=resource.kind
    )
    async def seen(event: Any, **_: Any) -> None:
        if event["type"] == "DELETED":
            store.forget(resource, event["object"])
        else:
            store.observe(resource, event["object"])
        if event["type"] is None and store.synced:
            # kopf has listed this kind again, and says nothing of objects that have vanished in the meantime.
            on_gap()


def settings() -> kopf.OperatorSettings:
    """Kopf's settings for a process that only watches, and that is restarted rather than healed."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.persistence.diffbase_storage = _NoDiffBase()
    chosen.persistence.progress_storage = _NoProgress()
    chosen.persistence.finalizer = f"{GROUP}/none"
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 310
    chosen.watching.connect_timeout = 30
    chosen.networking.request_timeout = 30
    chosen.networking.error_backoffs = [1, 2, 5, 10, 20, 30]
    chosen.execution.max_workers = 2
    chosen.process.ultimate_exiting_timeout = 25
    return chosen
