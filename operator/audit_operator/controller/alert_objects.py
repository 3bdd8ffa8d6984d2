"""Keeps the PrometheusRule objects of policies as they should be, where a cluster serves that kind.

They are looked at from time to time and not watched: most clusters have many that are none of our business. One that no
policy of ours controls is never written, adopted or deleted, whatever it is called and labelled.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from audit_operator.api.findings import ObjectRef
from audit_operator.cluster.resources import AUDIT_POLICY, CLUSTER_AUDIT_POLICY, PROMETHEUS_RULE
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError
from audit_operator.plan.alert_rules import COMPONENT, COMPONENT_LABEL, alert_rules, prometheus_rule, rules_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.cluster.rate_limit import RateLimit
    from audit_operator.cluster.rest import Document, RestClient
    from audit_operator.plan.alert_rules import AlertSettings
    from audit_operator.plan.snapshot import Snapshot

_LOG = logging.getLogger(__name__)
_OURS = replace(PROMETHEUS_RULE, label_selector=f"{COMPONENT_LABEL}={COMPONENT}")
_AGAIN = 30.0
"""Seconds after which to try again what has failed."""
_KINDS = (AUDIT_POLICY.kind, CLUSTER_AUDIT_POLICY.kind)
_TROUBLE = (ApiError, ApiUnreachableError, InconsistentListError)

Place = tuple[str, str]
"""Namespace and name of an object."""


class AlertObjectState(StrEnum):
    """What is true of the object of a policy."""

    WRITTEN = "Written"
    TAKEN = "Taken"
    """There is one of that name, which belongs to somebody else."""
    FAILED = "Failed"
    """The API server has refused it, or could not be asked; the log says why."""
    NOT_SERVED = "NotServed"
    """The cluster has no such kind."""


@dataclass(frozen=True, slots=True)
class _Found:
    """An object that a policy of ours controls."""

    owner: ObjectRef
    uid: str
    document: Document

    @property
    def spec(self) -> Any:
        return self.document.get("spec")


@dataclass(slots=True)
class AlertObjects:
    """Looks every `every` seconds, and at once when policies want something else.

    `states` says of each policy with detections what is true of its object; it is empty until that was looked at.
    """

    client: RestClient
    field_manager: str
    settings: AlertSettings
    rate: RateLimit
    every: float = 300.0
    states: Mapping[ObjectRef, AlertObjectState] = field(default_factory=dict)
    _wanted: Mapping[Place, tuple[ObjectRef, Document]] = field(default_factory=dict)
    _kept: frozenset[ObjectRef] = frozenset()
    _known: dict[Place, tuple[Document, Any]] = field(default_factory=dict)
    """What was wanted, and the spec that the API server made of it."""
    _said: dict[Place, str] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def follow(self, snapshot: Snapshot) -> None:
        """Write what these facts ask for from now on."""
        rules = alert_rules(snapshot, self.settings)
        wanted = {
            (each.namespace, each.name): (each.policy, prometheus_rule(each, self.settings.labels)) for each in rules
        }
        # What nobody can read now may want the same as before.
        kept = frozenset(each.ref for each in snapshot.invalid)
        if (wanted, kept) != (self._wanted, self._kept) or not self.states:
            self._wake.set()
        self._wanted, self._kept = wanted, kept

    async def run(self) -> None:
        """Work for ever. Raises nothing: a bug here must not be the end of what else the operator does."""
        await self._wake.wait()
        while True:
            self._wake.clear()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - see the docstring
                _LOG.error("Alerts of detections not written", exc_info=error, extra={"reason": type(error).__name__})
                self.states = {policy: AlertObjectState.FAILED for policy, _ in self._wanted.values()}
            done = all(each is AlertObjectState.WRITTEN for each in self.states.values())
            with suppress(TimeoutError):
                async with asyncio.timeout(self.every if done else min(_AGAIN, self.every)):
                    await self._wake.wait()

    async def _look(self) -> None:
        wanted = self._wanted
        try:
            listing = await self.client.list(_OURS, _found)
        except _TROUBLE as error:
            not_served = isinstance(error, ApiError) and error.not_found
            self._say(("", ""), "the cluster has no such kind" if not_served else str(error))
            state = AlertObjectState.NOT_SERVED if not_served else AlertObjectState.FAILED
            self.states = {policy: state for policy, _ in wanted.values()}
            return
        there = dict(filter(None, listing.items))
        states = {}
        for place, (policy, document) in wanted.items():
            states[policy] = await self._brought(place, document, there.get(place))
        for place, found in there.items():
            if place not in wanted and found.owner not in self._kept:
                await self._deleted(place, found)
        self._known = {place: each for place, each in self._known.items() if place in wanted}
        self._said = {place: each for place, each in self._said.items() if place in wanted}
        self.states = states

    async def _brought(self, place: Place, document: Document, found: _Found | None) -> AlertObjectState:
        """Make the object like this; raises nothing that the API server says."""
        made = self._made(place, document)
        if found is not None and found.spec in made and _holds(found.document["metadata"], document["metadata"]):
            return AlertObjectState.WRITTEN
        try:
            await self.rate.wait()
            if found is None and await self._is_taken(place):
                self._say(place, "there is one of that name, which no policy controls")
                return AlertObjectState.TAKEN
            applied = await self.client.apply(PROMETHEUS_RULE, document, field_manager=self.field_manager)
            if found is not None and applied.get("spec") not in made:
                # What somebody has added stays when ours is applied, and can keep alerts from firing.
                await self.client.delete(PROMETHEUS_RULE, name=place[1], namespace=place[0], uid=found.uid)
                applied = await self.client.apply(PROMETHEUS_RULE, document, field_manager=self.field_manager)
        except _TROUBLE as error:
            self._say(place, str(error))
            return AlertObjectState.FAILED
        # What admission makes of it is not written again and again.
        self._known[place] = document, applied.get("spec")
        self._said.pop(place, None)
        return AlertObjectState.WRITTEN

    def _made(self, place: Place, document: Document) -> list[Any]:
        """What the object may hold: what is wanted, and what the API server made of that when it was written."""
        known, made = self._known.get(place, (None, None))
        return [document["spec"], made] if known == document else [document["spec"]]

    async def _is_taken(self, place: Place) -> bool:
        namespace, name = place
        # The operator may list them, and has no use for another right.
        one = replace(PROMETHEUS_RULE, field_selector=f"metadata.name={name}")
        listing = await self.client.list(one, _found, namespace=namespace)
        return None in listing.items

    async def _deleted(self, place: Place, found: _Found) -> None:
        namespace, name = place
        try:
            await self.rate.wait()
            await self.client.delete(PROMETHEUS_RULE, name=name, namespace=namespace, uid=found.uid)
        except _TROUBLE as error:
            self._say(place, str(error))

    def _say(self, place: Place, why: str) -> None:
        """In the log, once for each reason."""
        if self._said.get(place) != why:
            self._said[place] = why
            extra = {"object": f"PrometheusRule {'/'.join(place)}", "reason": "AlertsNotWritten"}
            _LOG.warning("Alerts of detections are not as they should be: %s", why, extra=extra)


def counted(states: Mapping[ObjectRef, AlertObjectState]) -> Mapping[AlertObjectState, int]:
    """How many objects are in each state."""
    return Counter(states.values())


def _found(document: Document) -> tuple[Place, _Found] | None:
    """An object that a policy of ours controls, by the name that we give it; None for somebody else's."""
    metadata = document["metadata"]
    owner: Document = next((each for each in metadata.get("ownerReferences") or () if each.get("controller")), {})
    if owner.get("kind") not in _KINDS or not str(owner.get("apiVersion")).startswith(f"{AUDIT_POLICY.group}/"):
        return None
    namespace = metadata["namespace"] if owner["kind"] == AUDIT_POLICY.kind else ""
    policy = ObjectRef(owner["kind"], str(owner.get("name")), namespace)
    if metadata["name"] != rules_name(policy):
        return None
    place = metadata["namespace"], metadata["name"]
    return place, _Found(policy, str(metadata.get("uid", "")), document)


def _holds(there: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there; keys that others have added do not matter, entries of lists do."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(_holds(there.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        same = isinstance(there, list) and len(there) == len(wanted)
        return same and all(_holds(*pair) for pair in zip(there, wanted, strict=True))
    return bool(there == wanted)
