"""Driver `StaticPod`: says to the agents what is wanted, and collects what they say. The agents do the rest.

Nothing is remembered here: what was said lies in the cluster, so that another replica can go on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.control_plane import StaticPod
from audit_operator.api.observations import ApiServerObservation, ApiServerState
from audit_operator.api.text import seconds
from audit_operator.controlplane.configmap import LARGEST, too_large
from audit_operator.controlplane.static_pod.audit_flags import AuditConfiguration, LogSettings
from audit_operator.controlplane.static_pod.board import BoardUnavailable
from audit_operator.controlplane.static_pod.instructions import Instructions
from audit_operator.controlplane.static_pod.report import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audit_operator.api.control_plane import AuditControlPlaneSpec
    from audit_operator.api.findings import Finding
    from audit_operator.api.observations import DesiredPolicy
    from audit_operator.controlplane.static_pod.board import Board, Posted
    from audit_operator.controlplane.static_pod.report import NodeReport

_STATES: Mapping[NodeState, ApiServerState] = {
    NodeState.IDLE: ApiServerState.RUNNING,
    NodeState.RUNNING: ApiServerState.RUNNING,
    NodeState.WAITING: ApiServerState.WAITING,
    NodeState.CHANGING: ApiServerState.RESTARTING,
    NodeState.ROLLED_BACK: ApiServerState.ROLLED_BACK,
    NodeState.BLOCKED: ApiServerState.BLOCKED,
    NodeState.FAILED: ApiServerState.FAILED,
}


@dataclass(slots=True)
class StaticPodDriver:
    """Delivers to the nodes of one AuditControlPlane. Implements `driver.Driver`.

    Attributes:
        plane: name of the AuditControlPlane.
        spec: what it says.
        board: where agents read and tell.
        silent_after: seconds after which an agent that says nothing is taken for gone.
        nodes_age: seconds for which a list of nodes is good.
        clock: seconds, monotonic.
    """

    plane: str
    spec: AuditControlPlaneSpec
    board: Board
    silent_after: float = 45.0
    nodes_age: float = 30.0
    clock: Callable[[], float] = time.monotonic
    _desired: DesiredPolicy | None = None
    _told: Instructions | None = None
    _problem: str = ""
    _kubelets: Mapping[str, str] = field(default_factory=dict)
    _listed: float = float("-inf")
    _heard: dict[str, tuple[str, float]] = field(default_factory=dict)
    _versions: dict[str, str] = field(default_factory=dict)

    async def deliver(self, desired: DesiredPolicy) -> tuple[Finding, ...]:
        """Publish the policy and say that it is wanted."""
        if (size := len(desired.text.encode())) > LARGEST:
            return (too_large(size),)
        self._desired = desired
        await self._instruct(paused=False)
        return ()

    async def hold(self) -> None:
        """Say that no change may begin; or, where the spec asks for an earlier policy, that that is wanted."""
        await self._instruct(paused=self._pinned is None)

    async def observe(self) -> tuple[ApiServerObservation, ...]:
        """One observation for each node, from what its agent says; unknown where there is none, or it is silent."""
        try:
            nodes, reports = await self._list_nodes(), await self.board.reports()
        except BoardUnavailable as error:
            # What was heard last may be out of date by now; the API server that answers nothing is the best evidence.
            return tuple(self._unknown(name, str(error)) for name in self._kubelets)
        # A node that is new here is told nothing yet: what is wanted may not suit the version that it has.
        return tuple(self._observation(name, reports) for name in nodes)

    async def aclose(self) -> None:
        """Nothing to do: what was said stays."""

    @property
    def _pinned(self) -> str | None:
        return self.spec.rollout.pinned_digest if self.spec.rollout else None

    async def _instruct(self, *, paused: bool) -> None:
        self._problem = ""
        try:
            nodes = await self._list_nodes()
            digest = self._pinned or (self._desired.digest if self._desired else "")
            known = None if digest else await self._known_configuration()
            configuration = AuditConfiguration(digest, LogSettings.from_spec(self.spec.log)) if digest else known
            if self._desired is not None and digest == self._desired.digest and self._published != digest:
                await self.board.publish_policy(digest, self._desired.text)
            instructions = self._instructions(nodes, configuration, paused=paused)
            if instructions != self._told:
                await self.board.instruct(instructions)
                self._told = instructions
        except BoardUnavailable as error:
            self._problem = str(error)

    @property
    def _published(self) -> str:
        return self._told.configuration.digest if self._told and self._told.configuration else ""

    async def _known_configuration(self) -> AuditConfiguration | None:
        """What agents were told by whoever was here before: a pause must not make them forget it."""
        told = {each.plane: each for each in await self.board.instructions()}
        return told[self.plane].configuration if self.plane in told else None

    def _instructions(
        self, nodes: tuple[str, ...], configuration: AuditConfiguration | None, *, paused: bool
    ) -> Instructions:
        static_pod, rollout = self.spec.static_pod or StaticPod(), self.spec.rollout
        return Instructions(
            plane=self.plane,
            nodes=nodes,
            configuration=configuration,
            manifest=static_pod.manifest,
            enrolled=static_pod.enrolled,
            adopt=self.spec.adopt,
            paused=paused,
            retry=rollout.retry if rollout else "",
            ready_timeout=seconds(rollout.ready_timeout if rollout else _DEFAULT_TIMEOUT),
        )

    async def _list_nodes(self) -> tuple[str, ...]:
        if self.clock() - self._listed >= self.nodes_age:
            self._kubelets = await self.board.nodes((self.spec.static_pod or StaticPod()).node_selector)
            self._listed = self.clock()
        return tuple(self._kubelets)

    def _observation(self, node: str, reports: Mapping[str, Posted]) -> ApiServerObservation:
        posted = reports.get(node)
        if posted is None:
            return self._unknown(node, "no node agent has reported from it")
        if posted.report.api_server_version:
            self._versions[node] = posted.report.api_server_version
        version, since = self._heard.get(node, ("", 0.0))
        if version != posted.version:
            since = self.clock()
            self._heard[node] = (posted.version, since)
        if self.clock() - since > self.silent_after:
            return self._unknown(node, "its node agent has fallen silent")
        report = posted.report
        if report.plane not in {"", self.plane}:
            return self._unknown(node, f"it belongs to AuditControlPlane {report.plane}, too, and follows that")
        return self._seen(node, report)

    def _seen(self, node: str, report: NodeReport) -> ApiServerObservation:
        wanted = self._told.configuration if self._told and self._told.enrolled else None
        up_to_date = report.wanted == (wanted.id if wanted else "")
        state, error = _STATES[report.state], report.error
        if not up_to_date and state in {ApiServerState.RUNNING, ApiServerState.WAITING}:
            state, error = ApiServerState.WAITING, self._problem or "its agent has not read the instructions yet"
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
        digest = self._told.configuration.digest if self._told and self._told.configuration else ""
        return ApiServerObservation(
            node,
            desired_digest=digest,
            state=ApiServerState.UNKNOWN,
            last_error=why,
            version=self._versions.get(node, ""),
            version_at_least=self._kubelets.get(node, ""),
        )


_DEFAULT_TIMEOUT = "3m"
