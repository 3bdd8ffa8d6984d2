"""What an agent says about its node. It travels as JSON in an annotation of the node's Lease."""

from __future__ import annotations

from collections.abc import Mapping  # pydantic needs it at run time
from datetime import datetime  # pydantic needs it at run time
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

REPORT_ANNOTATION = "audit-operator.dev/report"

LARGEST_POLICY = 100_000
"""Bytes of somebody else's policy that are shown. As JSON it may be twice as long; all annotations may take 256 KiB."""


def shown_policy(text: str) -> str:
    """As much of somebody else's policy as has room."""
    return text.encode()[:LARGEST_POLICY].decode(errors="ignore")


class NodeState(StrEnum):
    """What an agent is doing.

    Idle: nothing is asked of it. Running: what is wanted runs. Waiting: for its turn, or because the roll-out is
    paused. Changing: the API server is being changed, or changed back. RolledBack: what is wanted has failed here.
    Blocked: nothing will happen until somebody acts; `error` says what. Failed: the API server is not ready, and not
    because of a change that is under way.
    """

    IDLE = "Idle"
    RUNNING = "Running"
    WAITING = "Waiting"
    CHANGING = "Changing"
    ROLLED_BACK = "RolledBack"
    BLOCKED = "Blocked"
    FAILED = "Failed"


class NodeReport(BaseModel):
    """One node, as its agent sees it.

    Attributes:
        version: of this format.
        plane: name of the AuditControlPlane that its instructions come from.
        state: see NodeState.
        blocked: why, as one word, while `state` is Blocked; see `rollout.Obstacle`.
        wanted: id of the configuration that is wanted; empty if none is.
        desired_digest: of the policy in it.
        running_digest: of the policy that the process which answers was started with; empty where that is not proved.
        ready: whether `/readyz` answered 200.
        since: when the process was started.
        api_server_version: of the last process that was ready, as in ``v1.37.2``; a restart does not make it unknown.
        error: why what is wanted does not run.
        attempts: changes begun towards what is wanted.
        failures: why a configuration is not tried again, by its id.
        foreign_policy: text of the audit policy of somebody else that waits for adoption.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    plane: str = ""
    state: NodeState = NodeState.IDLE
    blocked: str = ""
    wanted: str = ""
    desired_digest: str = ""
    running_digest: str = ""
    ready: bool = False
    since: datetime | None = None
    api_server_version: str = ""
    error: str = ""
    attempts: int = 0
    failures: Mapping[str, str] = Field(default_factory=dict)
    foreign_policy: str = ""
