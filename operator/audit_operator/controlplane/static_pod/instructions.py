"""What the operator tells the agents of one control plane. It travels as JSON in a ConfigMap that agents only read."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from audit_operator.controlplane.static_pod.audit_flags import AuditConfiguration

COMPONENT_LABEL = "audit-operator.dev/component"
POLICY_COMPONENT = "policy"
ROLLOUT_COMPONENT = "rollout"
AGENT_COMPONENT = "agent"

INSTRUCTIONS_KEY = "instructions.json"

_DIGEST_IN_NAME = 16


class Instructions(BaseModel):
    """What nodes are to do.

    Attributes:
        version: of this format; an agent does nothing with one that it does not know.
        plane: name of the AuditControlPlane.
        uid: of that very object, with which these instructions go; empty where it is not known.
        nodes: names of the nodes that are meant.
        configuration: policy and log flags; None while nothing is to be changed because nothing is known yet.
        history: digests of what policies have asked for, the last few, oldest first and each once: where it was last.
        manifest: file name of the API server's manifest.
        enrolled: False puts back what was there before the first change.
        adopt: whether an audit policy of somebody else may be replaced.
        paused: whether no change may begin; one under way is brought to its end.
        retry: each new value lets every agent try once more what has failed, or what it had stopped for.
        ready_timeout: seconds until an API server that is not ready gets its last good configuration.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    plane: str
    uid: str = ""
    nodes: tuple[str, ...]
    configuration: AuditConfiguration | None = None
    history: tuple[str, ...] = ()
    manifest: str = "kube-apiserver.yaml"
    enrolled: bool = True
    adopt: bool = False
    paused: bool = False
    retry: str = ""
    ready_timeout: float = Field(default=180.0, gt=0)


def rollout_name(plane: str) -> str:
    """Name of the ConfigMap with the instructions, and of the Lease by which nodes take turns."""
    return f"audit-rollout-{plane}"


def policy_name(digest: str) -> str:
    """Name of the immutable ConfigMap that holds a policy."""
    return f"audit-policy-{digest[:_DIGEST_IN_NAME]}"


def agent_name(node: str) -> str:
    """Name of the Lease that carries a node's report."""
    return f"audit-agent-{node}"
