"""Audit records that applications write themselves, collected by a sidecar and held to a field standard."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from audit_operator.api.constraints import ATOMIC, Pattern
from audit_operator.api.model import ApiModel
from audit_operator.api.selector import LabelSelector
from audit_operator.api.text import NamespaceName

FieldPath = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9_@-]+(\.[A-Za-z0-9_@-]+)*$")]

# No segment begins with a dot, so that no path leads out of the volume.
_SEGMENT = "[A-Za-z0-9_*-][A-Za-z0-9_.*-]*"


class TimeFormat(StrEnum):
    """How an application writes a moment."""

    RFC3339 = "RFC3339"
    UNIX_SECONDS = "UnixSeconds"
    UNIX_MILLISECONDS = "UnixMilliseconds"


class WorkloadRestart(StrEnum):
    """Whether workloads are restarted to get or renew their sidecar."""

    NEVER = "Never"
    ROLLING = "Rolling"


class LogFile(ApiModel):
    """Log files in a volume that the application's pod has."""

    volume: NamespaceName = Field(description="Name of the volume in the pod.")
    path: Annotated[
        str,
        Field(max_length=256),
        Pattern(f"^{_SEGMENT}(/{_SEGMENT})*$", "must be a path inside the volume, no part of which begins with a dot"),
    ] = Field(
        description="Files in the volume, relative to its root; '*' stands for any part of a name, for example "
        "audit/*.log. Lines are JSON objects."
    )


class FieldMapping(ApiModel):
    """Where an application writes the mandatory fields: dotted paths into its JSON lines."""

    time: FieldPath = Field(default="time", description="When it happened.")
    user: FieldPath = Field(default="user", description="Who did it.")
    action: FieldPath = Field(default="action", description="What was done.")
    result: FieldPath = Field(default="result", description="How it ended.")
    id: FieldPath = Field(default="id", description="Unique id of the record.")
    correlation_id: FieldPath = Field(
        default="correlationId", description="What ties the records of one transaction together, such as a trace id."
    )


class ApplicationLogs(ApiModel):
    """Audit logs of applications in the policy's namespaces.

    A line that breaks the standard is kept apart with the reason and counted; it is never dropped.
    """

    pod_selector: LabelSelector | None = Field(
        default=None, description="Which pods get a sidecar that collects their log files. Absent: every pod."
    )
    files: Annotated[tuple[LogFile, ...], Field(min_length=1, max_length=16), ATOMIC] = Field(
        description="The log files to collect."
    )
    fields: FieldMapping = Field(
        default_factory=FieldMapping, description="Where the mandatory fields are, if not under the standard's names."
    )
    time_format: TimeFormat = Field(default=TimeFormat.RFC3339, description="How the time field is written.")
    restart_workloads: WorkloadRestart = Field(
        default=WorkloadRestart.NEVER,
        description="Whether running workloads are restarted to get the sidecar (Rolling, within their "
        "PodDisruptionBudgets) or get it when they next start (Never).",
    )
