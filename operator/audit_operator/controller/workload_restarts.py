"""Restarts workloads whose pods lack a sidecar, where the policy asks for it: in each namespace one after the other."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.cluster.resources import (
    DAEMON_SET,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    REPLICA_SET,
    STATEFUL_SET,
    Resource,
)
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError
from audit_operator.controller.origins import origin
from audit_operator.plan.restarts import (
    RESTARTED,
    Wish,
    can_roll,
    is_allowed,
    is_rolled_out,
    was_restarted,
    wishes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.cluster.rest import Document, RestClient
    from audit_operator.plan.sidecars import SidecarCount
    from audit_operator.shipping.injection.template import SidecarTemplate

_LOG = logging.getLogger(__name__)
_DIRECT = {"StatefulSet": STATEFUL_SET, "DaemonSet": DAEMON_SET}


@dataclass(frozen=True, slots=True)
class _Workload:
    resource: Resource
    namespace: str
    document: Document

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])


@dataclass(slots=True)
class WorkloadRestarts:
    """Looks every few seconds, and restarts one workload at most each time.

    Attributes:
        counted: the policies with the count of their pods, as last known.
    """

    client: RestClient
    template: SidecarTemplate
    counted: Callable[[], Iterable[tuple[AuditPolicy, SidecarCount]]]
    every: float = 15.0
    _rolling: dict[str, tuple[Resource, str]] = field(default_factory=dict)

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(self.every)
            try:
                await self.step()
            except (ApiError, ApiUnreachableError, InconsistentListError) as error:
                _LOG.warning("No workload restarted: %s", error, extra={"reason": type(error).__name__})
            except Exception as error:  # noqa: BLE001 - no tenant's workload may be the end of the operator
                _LOG.error("No workload restarted: %s", origin(error), extra={"reason": type(error).__name__})

    async def step(self) -> bool:
        """Restart a workload if one may be restarted; whether one was.

        Raises ApiError, ApiUnreachableError, InconsistentListError.
        """
        wanted = [wish for policy, counted in self.counted() for wish in wishes(policy, counted, self.template)]
        busy = {namespace for namespace in {each.namespace for each in wanted} if await self._is_rolling(namespace)}
        for wish in wanted:
            if wish.namespace not in busy and await self._restart(wish):
                return True
        return False

    async def _is_rolling(self, namespace: str) -> bool:
        """Whether what was restarted last in a namespace is not through yet."""
        known = self._rolling.get(namespace)
        if known is None:
            return False
        found = await self._get(known[0], namespace, known[1])
        if found is not None and not is_rolled_out(found.document):
            return True
        del self._rolling[namespace]
        return False

    async def _restart(self, wish: Wish) -> bool:
        workload = await self._workload(wish)
        if workload is None or was_restarted(workload.document, wish):
            return False
        if not (can_roll(workload.document) and is_rolled_out(workload.document)):
            return False
        budgets = await self.client.list(DISRUPTION_BUDGET, lambda each: each, namespace=wish.namespace)
        if not is_allowed(wish.pods, budgets.items):
            return False
        annotations = {RESTARTED + wish.policy: wish.goal}
        body = {
            # Nothing is changed in what somebody else has changed meanwhile.
            "metadata": {"resourceVersion": workload.document["metadata"]["resourceVersion"]},
            "spec": {"template": {"metadata": {"annotations": annotations}}},
        }
        await self.client.merge(workload.resource, name=workload.name, namespace=wish.namespace, body=body)
        self._rolling[wish.namespace] = workload.resource, workload.name
        what = f"{workload.resource.kind} {wish.namespace}/{workload.name}"
        _LOG.info("Restarted for the sidecar of policy %s", wish.policy, extra={"object": what, "reason": "Restarted"})
        return True

    async def _workload(self, wish: Wish) -> _Workload | None:
        """What the pods' controller belongs to; None where that is nothing that can be restarted."""
        if wish.owner.kind in _DIRECT:
            return await self._get(_DIRECT[wish.owner.kind], wish.namespace, wish.owner.name)
        replicas = await self._get(REPLICA_SET, wish.namespace, wish.owner.name)
        owners = replicas.document["metadata"].get("ownerReferences", ()) if replicas else ()
        name = next((each["name"] for each in owners if each.get("controller") and each["kind"] == "Deployment"), "")
        return await self._get(DEPLOYMENT, wish.namespace, name) if name else None

    async def _get(self, resource: Resource, namespace: str, name: str) -> _Workload | None:
        try:
            return _Workload(resource, namespace, await self.client.get(resource, name=name, namespace=namespace))
        except ApiError as error:
            if error.not_found:
                return None
            raise
