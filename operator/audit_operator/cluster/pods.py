"""The pods of the namespaces that somebody collects application logs in, and of no others.

Not kopf's business: it watches a kind in all namespaces or in those that it was started with, and a cluster may have a
hundred thousand pods. Of each pod only what matters for its sidecars is kept, and of what arrives nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.resources import POD
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError
from audit_operator.shipping.injection.pod import Pod, pod_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from audit_operator.cluster.rest import Document, RestClient

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class PodStore:
    """Lists and watches pods; a list follows each watch, so that what a watch has missed is not believed for long.

    Attributes:
        on_change: called with the namespace in which something that matters has changed.
        watch_seconds: how long one watch lasts.
    """

    client: RestClient
    on_change: Callable[[str], None] = lambda _namespace: None
    watch_seconds: int = 300
    backoff: Backoff = field(default_factory=lambda: Backoff(base=1.0, cap=60.0))
    _pods: dict[str, dict[str, Pod]] = field(default_factory=dict)
    _refusals: dict[str, str] = field(default_factory=dict)
    _watching: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def follow(self, namespaces: Collection[str]) -> None:
        """From now on, know the pods of these namespaces."""
        for namespace in self._watching.keys() - set(namespaces):
            self._watching.pop(namespace).cancel()
            self._pods.pop(namespace, None)
            self._refusals.pop(namespace, None)
        for namespace in set(namespaces) - self._watching.keys():
            self._watching[namespace] = asyncio.create_task(self._watch(namespace), name=f"pods of {namespace}")

    def pods(self, namespace: str) -> tuple[Pod, ...] | None:
        """The pods of a namespace; None while they are not known."""
        known = self._pods.get(namespace)
        return None if known is None else tuple(known.values())

    def refusal(self, namespace: str) -> str:
        """Why the pods of a namespace are not known, as far as the API server has said; empty where they are."""
        return self._refusals.get(namespace, "")

    async def aclose(self) -> None:
        """Stop watching."""
        tasks = list(self._watching.values())
        self.follow(())
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, namespace: str) -> None:
        failures = 0
        while True:
            try:
                listing = await self.client.list(POD, pod_of, namespace=namespace)
                self._replace(namespace, {each.uid: each for each in listing.items})
                failures = 0
                events = self.client.watch(
                    POD, namespace=namespace, resource_version=listing.resource_version, seconds=self.watch_seconds
                )
                async for event in events:
                    if event.get("type") == "ERROR":
                        break
                    self._see(namespace, event)
            except (ApiError, ApiUnreachableError, InconsistentListError) as error:
                _LOG.warning("Cannot watch pods: %s", error, extra={"object": namespace, "reason": "ListFailed"})
                if isinstance(error, ApiError) and namespace not in self._pods:
                    self._refusals[namespace] = error.message
                    self.on_change(namespace)
                await asyncio.sleep(self.backoff.delay(failures))
                failures += 1

    def _replace(self, namespace: str, pods: dict[str, Pod]) -> None:
        self._refusals.pop(namespace, None)
        if self._pods.get(namespace) != pods:
            self._pods[namespace] = pods
            self.on_change(namespace)

    def _see(self, namespace: str, event: Document) -> None:
        if event["type"] == "BOOKMARK":
            return
        pods, pod = self._pods[namespace], pod_of(event["object"])
        known = pods.pop(pod.uid, None)
        if event["type"] != "DELETED":
            pods[pod.uid] = pod
        if known != pods.get(pod.uid):
            self.on_change(namespace)
