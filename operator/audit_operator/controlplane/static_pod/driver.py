"""Driver `StaticPod`: says to the agents what is wanted, and collects what they say. The agents do the rest.

Nothing is remembered here: what was said lies in the cluster, so that another replica can go on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.control_plane import Rollout, StaticPod
from audit_operator.api.observations import ApiServerObservation, ApiServerState
from audit_operator.api.text import seconds
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.configmap import LARGEST, too_large
from audit_operator.controlplane.static_pod.audit_flags import AuditConfiguration, LogSettings
from audit_operator.controlplane.static_pod.instructions import Instructions
from audit_operator.controlplane.static_pod.report import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from audit_operator.api.control_plane import AuditControlPlaneSpec
    from audit_operator.api.findings import Finding
    from audit_operator.api.observations import DesiredPolicy
    from audit_operator.controlplane.static_pod.board import Board, Posted
    from audit_operator.controlplane.static_pod.report import NodeReport

_LOG = logging.getLogger(__name__)
_EVERY_NODE = "*"
_WAYS_BACK = 5
"""Policies that are remembered, and kept, for a rollback; the one that is wanted among them."""
_STATES: Mapping[NodeState, ApiServerState] = {
    NodeState.IDLE: ApiServerState.RUNNING,
    NodeState.RUNNING: ApiServerState.RUNNING,
    NodeState.WAITING: ApiServerState.WAITING,
    NodeState.CHANGING: ApiServerState.RESTARTING,
    NodeState.ROLLED_BACK: ApiServerState.ROLLED_BACK,
    NodeState.BLOCKED: ApiServerState.BLOCKED,
    NodeState.FAILED: ApiServerState.FAILED,
}
_UNTROUBLED = frozenset({ApiServerState.RUNNING, ApiServerState.WAITING})


@dataclass(slots=True)
class StaticPodDriver:
    """Delivers to the nodes of one AuditControlPlane. Implements `driver.Driver`.

    Attributes:
        plane: name of the AuditControlPlane.
        spec: what it says.
        board: where agents read and tell.
        uid: of the AuditControlPlane.
        silent_after: seconds after which an agent that says nothing is taken for gone.
        nodes_age: seconds for which a list of nodes is good.
        repeat_after: seconds after which everything is said again: somebody may have deleted it.
        clock: seconds, monotonic.
    """

    plane: str
    spec: AuditControlPlaneSpec
    board: Board
    uid: str = ""
    silent_after: float = 45.0
    nodes_age: float = 30.0
    repeat_after: float = 60.0
    clock: Callable[[], float] = time.monotonic
    _desired: DesiredPolicy | None = None
    _paused: bool | None = None
    _told: Instructions | None = None
    _said_at: float = float("-inf")
    _problem: str = ""
    _completed: str = ""
    _speaking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _kubelets: Mapping[str, str] = field(default_factory=dict)
    _listed: float = float("-inf")
    _heard: dict[str, tuple[str, float]] = field(default_factory=dict)
    _versions: dict[str, str] = field(default_factory=dict)

    async def deliver(self, desired: DesiredPolicy) -> tuple[Finding, ...]:
        """Publish the policy and say that it is wanted."""
        if (size := len(desired.text.encode())) > LARGEST:
            return (too_large(size),)
        self._desired, self._paused = desired, False
        await self._instruct()
        return ()

    async def hold(self) -> None:
        """Say that no change may begin; or, where the spec asks for an earlier policy, that that is wanted.

        Unenrolling needs no policy: only a pause that was asked for stops it.
        """
        self._paused = not self._pinned and (self._rollout.paused or self._static_pod.enrolled)
        await self._instruct()

    async def observe(self) -> tuple[ApiServerObservation, ...]:
        """One observation for each node, from what its agent says; unknown where there is none, or it is silent."""
        try:
            nodes, reports = await self._list_nodes(), await self.board.reports()
        except BoardUnavailable as error:
            # What was heard last may be out of date by now; the API server that answers nothing is the best evidence.
            return tuple(self._unknown(name, str(error)) for name in self._kubelets or (_EVERY_NODE,))
        await self._remind()
        # A node that is new here is told nothing yet: what is wanted may not suit the version that it has.
        seen = tuple(self._observation(name, reports) for name in nodes)
        await self._tidy(seen, reports)
        return seen

    async def aclose(self) -> None:
        """Nothing to do: what was said stays."""

    # What is wanted

    @property
    def _pinned(self) -> str:
        return self._rollout.pinned_digest

    @property
    def _rollout(self) -> Rollout:
        return self.spec.rollout or Rollout()

    @property
    def _static_pod(self) -> StaticPod:
        return self.spec.static_pod or StaticPod()

    @property
    def _wanted(self) -> AuditConfiguration | None:
        """What nodes were told to run; None while they are to run nothing of ours, or were told nothing yet."""
        return self._told.configuration if self._told and self._told.enrolled else None

    async def _told_last(self) -> Instructions | None:
        """What agents were told last, also by whoever was here before."""
        if self._told is not None:
            return self._told
        return next((each for each in await self.board.instructions() if each.plane == self.plane), None)

    def _configuration(self, last: Instructions | None) -> AuditConfiguration | None:
        digest = self._pinned or (self._desired.digest if self._desired else "")
        if not digest:  # a pause must not make agents forget what they were told
            return last.configuration if last else None
        return AuditConfiguration(digest, LogSettings.from_spec(self.spec.log))

    def _history(self, last: Instructions | None) -> tuple[str, ...]:
        """What policies have asked for. A pin leaves it alone, so that a second rollback goes one further."""
        known = last.history if last else ()
        if self._desired is None or self._pinned:
            return known
        digest = self._desired.digest
        return (*(each for each in known if each != digest), digest)[-_WAYS_BACK:]

    def _instructions(self, nodes: tuple[str, ...], last: Instructions | None) -> Instructions:
        static_pod, rollout = self._static_pod, self._rollout
        return Instructions(
            plane=self.plane,
            uid=self.uid,
            nodes=nodes,
            configuration=self._configuration(last),
            history=self._history(last),
            manifest=static_pod.manifest,
            enrolled=static_pod.enrolled,
            adopt=self.spec.adopt,
            paused=bool(self._paused),
            retry=rollout.retry,
            ready_timeout=seconds(rollout.ready_timeout),
        )

    # Saying it

    async def _instruct(self) -> None:
        """Say what is wanted, to the nodes that there are."""
        async with self._speaking:
            try:
                nodes = await self._list_nodes()
                await self._say(self._instructions(nodes, await self._told_last()))
                self._problem = ""
            except BoardUnavailable as error:
                self._problem = str(error)

    async def _remind(self) -> None:
        """Say once more what could not be said, and now and then also what was: somebody may have deleted it."""
        if self._paused is not None and self._problem:
            await self._instruct()
        elif self._told is not None and self._is_due:
            async with self._speaking:
                try:
                    await self._say(self._told)
                except BoardUnavailable as error:
                    _LOG.info("Agents are reminded later: %s", error, extra={"reason": "BoardUnavailable"})

    async def _say(self, instructions: Instructions) -> None:
        again, wanted, desired = self._is_due, instructions.configuration, self._desired
        before = self._told.configuration if self._told else None
        is_new = wanted is not None and (before is None or before.digest != wanted.digest)
        if desired is not None and wanted is not None and wanted.digest == desired.digest and (again or is_new):
            await self.board.publish_policy(desired.digest, desired.text)
        if again or instructions != self._told:
            await self.board.instruct(instructions)
            self._told = instructions
        if again:
            self._said_at = self.clock()

    @property
    def _is_due(self) -> bool:
        return self.clock() - self._said_at >= self.repeat_after

    async def _tidy(self, seen: Sequence[ApiServerObservation], reports: Mapping[str, Posted]) -> None:
        """Once every node runs what is wanted, policies that nobody runs or wants may go."""
        wanted = self._wanted
        if wanted is None or wanted.id == self._completed or not all(_runs(each, wanted.digest) for each in seen):
            return
        needed = {wanted.digest, self._pinned, *(each.report.running_digest for each in reports.values())}
        try:
            told = await self.board.instructions()  # other control planes keep theirs in the same place
            needed |= {each.configuration.digest for each in told if each.configuration}
            needed.update(*(each.history for each in told))
            await self.board.forget_policies_except(needed - {""})
            self._completed = wanted.id
        except BoardUnavailable as error:
            _LOG.info("Old policies stay for now: %s", error, extra={"reason": "BoardUnavailable"})

    # Hearing

    async def _list_nodes(self) -> tuple[str, ...]:
        if self.clock() - self._listed >= self.nodes_age:
            self._kubelets = await self.board.nodes(self._static_pod.node_selector)
            self._listed = self.clock()
        return tuple(self._kubelets)

    def _observation(self, node: str, reports: Mapping[str, Posted]) -> ApiServerObservation:
        posted = reports.get(node)
        if posted is None:
            return self._unknown(node, "no node agent has reported from it")
        if posted.report.api_server_version:
            self._versions[node] = posted.report.api_server_version
        if self.clock() - self._heard_at(node, posted) > self.silent_after:
            return self._unknown(node, "its node agent has fallen silent")
        report = posted.report
        if report.plane not in {"", self.plane}:
            return self._unknown(node, f"it belongs to AuditControlPlane {report.plane}, too, and follows that")
        return self._seen(node, report)

    def _heard_at(self, node: str, posted: Posted) -> float:
        """When a report was renewed. Clocks differ: how old it says it is counts only until its agent renews it."""
        version, since = self._heard.get(node, ("", 0.0))
        if version != posted.version:
            since = self.clock() - (0.0 if version else posted.age)
            self._heard[node] = (posted.version, since)
        return since

    def _seen(self, node: str, report: NodeReport) -> ApiServerObservation:
        wanted = self._wanted
        up_to_date = report.wanted == (wanted.id if wanted else "")
        state, error = _STATES[report.state], report.error
        if self._problem and state in _UNTROUBLED:
            state, error = ApiServerState.WAITING, self._problem
        elif not up_to_date and state in {*_UNTROUBLED, ApiServerState.ROLLED_BACK}:
            # What was taken back is not what is wanted now.
            state, error = ApiServerState.WAITING, "its agent has not read the instructions yet"
        return ApiServerObservation(
            name=node,
            desired_digest=wanted.digest if wanted else "",
            running_digest=report.running_digest,
            ready=report.ready,
            since=report.since,
            state=state,
            last_error=error,
            version=self._versions.get(node, ""),
            version_at_least=self._kubelets.get(node, ""),
            attempts=report.attempts if up_to_date else 0,
            blocked=report.blocked,
            foreign_policy=report.foreign_policy,
        )

    def _unknown(self, node: str, why: str) -> ApiServerObservation:
        return ApiServerObservation(
            node,
            desired_digest=self._wanted.digest if self._wanted else "",
            state=ApiServerState.UNKNOWN,
            last_error=why,
            version=self._versions.get(node, ""),
            version_at_least=self._kubelets.get(node, ""),
        )


def _runs(server: ApiServerObservation, digest: str) -> bool:
    return server.state is ApiServerState.RUNNING and server.ready and server.running_digest == digest
