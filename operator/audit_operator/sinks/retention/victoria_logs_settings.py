"""What a VictoriaLogs keeps by itself: flags that it was started with, which it shows among its metrics.

Its retention is one for the whole instance and cannot be set while it runs, so that the operator can only read it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

from audit_operator.api.policy_status import RetentionState
from audit_operator.retention.judgement import Gap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.sinks.access import Answer

_FLAG = re.compile(
    rb'flag\{name="(retentionPeriod|delete\.enable|storageNode|retention\.maxDisk[A-Za-z]{1,32})", '
    rb'value="([^"\\]{0,256})", is_set="(?:true|false)"\} 1'
)
_LONGEST_LINE = 1024
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w|M|y)")
_PART = r"[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d|w|M|y)"
_HOURS = {"ms": 1 / 3_600_000, "s": 1 / 3600, "m": 1 / 60, "h": 1, "d": 24, "w": 7 * 24, "M": 31 * 24, "y": 365 * 24}
"""Source: durations of VictoriaMetrics' flags; a bare number counts months, of 31 days."""

_UNKNOWN = Gap(
    RetentionState.PARTIAL,
    "the store does not say how long it keeps records",
    "let the operator read its /metrics; where the address is of a proxy, let that pass it on",
)
_CLUSTER = Gap(
    RetentionState.PARTIAL,
    "the address is of a cluster's query node, which does not say how long the storage nodes keep records",
    "see the -retentionPeriod of each storage node; status cannot prove it",
)
_DISK = Gap(
    RetentionState.PARTIAL,
    "the store also deletes the oldest records of all when its disk is used up to a bound",
    "start it without -retention.maxDiskSpaceUsageBytes and -retention.maxDiskUsagePercent, and watch its disk",
)


@dataclass(frozen=True, slots=True)
class VictoriaLogsSettings:
    """What one instance was started with.

    Attributes:
        deletes_after: hours after which it deletes everything; None where that is not known.
        can_delete: whether its delete API is enabled.
        is_cluster: whether it only passes questions on to others.
        by_disk: whether it deletes earlier where it lacks room.
    """

    deletes_after: int | None = None
    can_delete: bool = False
    is_cluster: bool = False
    by_disk: bool = False

    @classmethod
    def parse(cls, metrics: Answer) -> VictoriaLogsSettings:
        """From the answer to /metrics; what cannot be read there is not known."""
        flags: dict[str, str] = {}
        for line in metrics.body.splitlines():
            found = _FLAG.fullmatch(line) if len(line) <= _LONGEST_LINE else None
            if found is not None:
                flags[found[1].decode()] = found[2].decode("utf-8", "replace")
        is_cluster = bool(flags.get("storageNode"))
        return cls(
            None if is_cluster else _hours(flags.get("retentionPeriod", "")),
            flags.get("delete.enable") == "true",
            is_cluster,
            any(value != "0" for name, value in flags.items() if name.startswith("retention.maxDisk")),
        )

    def gaps(self, *, keeps: bool) -> Iterator[Gap]:
        """What stands against a demand; `keeps`: whether it asks to keep anything for any time."""
        if self.is_cluster:
            yield _CLUSTER
        elif self.deletes_after is None:
            yield _UNKNOWN
        if keeps and self.by_disk:
            yield _DISK

    def __str__(self) -> str:
        return f"deletes_after={self.deletes_after} can_delete={self.can_delete} by_disk={self.by_disk}"


def _hours(duration: str) -> int | None:
    """Length of a flag's duration, rounded down: nobody is promised an hour that may not be there."""
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", duration):
        duration += "M"
    if not re.fullmatch(rf"(?:{_PART})+", duration):
        return None
    return floor(sum(float(number) * _HOURS[unit] for number, unit in _DURATION.findall(duration)) + 1e-9)
