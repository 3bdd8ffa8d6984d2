"""The pods of the namespaces that somebody collects application logs in, and of no others.

Not kopf's business: it watches a kind in all namespaces or in those that it was started with, and a cluster may have a
hundred thousand pods. Of each pod only what matters for its sidecars is kept, and of what arrives nothing else.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from audit_operator.cluster.following import Following
from audit_operator.cluster.resources import POD
from audit_operator.shipping.injection.pod import Pod, pod_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from audit_operator.cluster.rest import RestClient


@dataclass(slots=True)
class PodStore:
    """Follows the pods of some namespaces; `on_change` is called with the namespace in which one has changed."""

    client: RestClient
    on_change: Callable[[str], None] = lambda _namespace: None
    watch_seconds: int = 300
    _followed: dict[str, Following[Pod]] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def follow(self, namespaces: Collection[str]) -> None:
        """From now on, know the pods of these namespaces."""
        for namespace in self._tasks.keys() - set(namespaces):
            self._tasks.pop(namespace).cancel()
            del self._followed[namespace]
        for namespace in set(namespaces) - self._tasks.keys():
            on_change = partial(self._changed, namespace)
            followed = Following(self.client, POD, pod_of, on_change, namespace, self.watch_seconds)
            self._followed[namespace] = followed
            self._tasks[namespace] = asyncio.create_task(followed.run(), name=f"pods of {namespace}")

    def pods(self, namespace: str) -> tuple[Pod, ...] | None:
        """The pods of a namespace; None while they are not known."""
        followed = self._followed.get(namespace)
        return None if followed is None or followed.known is None else tuple(followed.known.values())

    def refusal(self, namespace: str) -> str:
        """Why the pods of a namespace are not known, as far as the API server has said; empty where they are."""
        followed = self._followed.get(namespace)
        return followed.refusal if followed is not None else ""

    async def aclose(self) -> None:
        """Stop watching."""
        tasks = list(self._tasks.values())
        self.follow(())
        await asyncio.gather(*tasks, return_exceptions=True)

    def _changed(self, namespace: str) -> None:
        self.on_change(namespace)
