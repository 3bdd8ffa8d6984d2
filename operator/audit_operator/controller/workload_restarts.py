"""Restarts workloads whose pods lack a sidecar, where the policy asks for it: in each namespace one after the other."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.findings import ObjectRef
from audit_operator.cluster.lease import LeadershipLostError
from audit_operator.cluster.resources import (
    AUDIT_POLICY,
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
    held_back,
    is_rolled_out,
    refused,
    was_restarted,
    wishes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.findings import Finding
    from audit_operator.cluster.rest import Document, RestClient
    from audit_operator.plan.sidecars import SidecarCount
    from audit_operator.shipping.injection.pod import Owner
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


def _of(wish: Wish) -> tuple[ObjectRef, Owner]:
    return ObjectRef(AUDIT_POLICY.kind, wish.policy, wish.namespace), wish.owner


@dataclass(slots=True)
class WorkloadRestarts:
    """Looks every few seconds, and restarts one workload at most each time.

    Attributes:
        counted: the policies with the count of their pods, as last known.
        tell: is told what each policy's status should say of workloads that must not be restarted now.
    """

    client: RestClient
    template: SidecarTemplate
    counted: Callable[[], Iterable[tuple[AuditPolicy, SidecarCount]]]
    tell: Callable[[Mapping[ObjectRef, Finding]], None]
    every: float = 15.0
    _rolling: dict[str, tuple[Resource, str]] = field(default_factory=dict)
    _why_waiting: dict[tuple[ObjectRef, Owner], Finding] = field(default_factory=dict)
    """What status should say of a workload that has its sidecar coming, and is not restarted."""
    _failed: dict[tuple[ObjectRef, Owner], str] = field(default_factory=dict)
    """What was wrong when a workload was last tried."""

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(self.every)
            try:
                await self.step()
            except (ApiUnreachableError, LeadershipLostError) as error:
                _LOG.warning("No workload restarted: %s", error, extra={"reason": type(error).__name__})
            except Exception as error:  # noqa: BLE001 - no tenant's workload may be the end of the operator
                _LOG.error("No workload restarted: %s", origin(error), extra={"reason": type(error).__name__})

    async def step(self) -> bool:
        """Restart a workload if one may be restarted; whether one was.

        Raises ApiUnreachableError, LeadershipLostError.
        """
        wanted = [wish for policy, counted in self.counted() for wish in wishes(policy, counted, self.template)]
        known = {_of(wish) for wish in wanted}
        self._why_waiting = {of: why for of, why in self._why_waiting.items() if of in known}
        self._failed = {of: why for of, why in self._failed.items() if of in known}
        try:
            return await self._restart_one(wanted)
        finally:
            # One workload for each policy, the first by kind and name, so that status changes little.
            found = sorted(self._why_waiting.items(), key=lambda each: (each[0][1].kind, each[0][1].name), reverse=True)
            self.tell({policy: why for (policy, _), why in found})

    async def _restart_one(self, wanted: list[Wish]) -> bool:
        busy: set[str] = set()
        # What failed comes last, so that nobody's workload keeps those of others waiting, also where it ends a step.
        for wish in sorted(wanted, key=lambda each: _of(each) in self._failed):
            if wish.namespace not in busy and await self._tried(wish, busy):
                return True
        return False

    async def _tried(self, wish: Wish, busy: set[str]) -> bool:
        """Whether it was restarted. What is wrong with it is noted, and ends its own turn alone.

        Raises ApiUnreachableError, LeadershipLostError.
        """
        try:
            if await self._is_rolling(wish.namespace):
                busy.add(wish.namespace)
                return False
            restarted = await self._restart(wish)
        except LeadershipLostError:
            raise
        except ApiUnreachableError as error:
            self._failed[_of(wish)] = type(error).__name__
            raise
        except (ApiError, InconsistentListError) as error:
            self._note(wish, (isinstance(error, ApiError) and error.reason) or type(error).__name__, str(error))
            if isinstance(error, ApiError) and not error.conflict:
                self._why_waiting[_of(wish)] = refused(wish.owner, error.reason or str(error.status))
            return False
        except Exception as error:  # noqa: BLE001 - no tenant's workload may keep those of others waiting
            self._note(wish, type(error).__name__, origin(error), logging.ERROR)
            return False
        self._failed.pop(_of(wish), None)
        return restarted

    def _note(self, wish: Wish, reason: str, said: str, level: int = logging.WARNING) -> None:
        """Once, and not every few seconds: there may be very many."""
        if self._failed.get(_of(wish)) != reason:
            what = f"{wish.owner.kind} {wish.namespace}/{wish.owner.name}"
            extra = {"object": what, "reason": reason}
            _LOG.log(level, "Not restarted for policy %s, tried again: %s", wish.policy, said, extra=extra)
        self._failed[_of(wish)] = reason

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
        if workload is None or was_restarted(workload.document, wish) or not is_rolled_out(workload.document):
            self._why_waiting.pop(_of(wish), None)
            return False
        if (why := await self._why_not(workload, wish)) is not None:
            self._why_waiting[_of(wish)] = why
            return False
        self._why_waiting.pop(_of(wish), None)
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

    async def _why_not(self, workload: _Workload, wish: Wish) -> Finding | None:
        if not can_roll(workload.document):
            return held_back(workload.document, wish.pods, ())
        budgets = await self.client.list(DISRUPTION_BUDGET, lambda each: each, namespace=wish.namespace)
        return held_back(workload.document, wish.pods, budgets.items)

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
