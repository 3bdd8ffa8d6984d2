"""What sidecars have counted, as status may say it: in steps, and by names that do not change with every look.

Whatever a pod says of itself counts for its own policy alone. A sidecar that does not answer proves nothing: pods are
often out of the operator's reach.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from audit_operator.api.conditions import ConditionType, Reason
from audit_operator.api.findings import Finding, Severity
from audit_operator.api.policy_status import QuarantinedSource
from audit_operator.plan.claim import Claim, false, unknown
from audit_operator.plan.sink_shipping import step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audit_operator.api.observations import ExporterFigures

QUARANTINED, SILENT = "lines-quarantined", "sidecars-silent"


class Trouble(StrEnum):
    """What is wrong with a sidecar by its own account, the worst first.

    Lossy: it has given up records within the last hour, or could not keep them.
    Down: its collector does not run, or says nothing.
    Backlog: records wait in it.
    """

    LOSSY = "Lossy"
    DOWN = "Down"
    BACKLOG = "Backlog"


_SAID: Mapping[Trouble, tuple[Reason, str, str]] = {
    Trouble.LOSSY: (
        Reason.LOSSY,
        "the sidecar of pod {} has given up records within the last hour, or could not keep them",
        "audit_operator_application_log_records_total says for which sink; see its conditions, and its delivery",
    ),
    Trouble.DOWN: (
        Reason.SHIPPER_DOWN,
        "the sidecar of pod {} runs no collector",
        "see the log of its container audit-shipper-...",
    ),
    Trouble.BACKLOG: (
        Reason.BACKLOG,
        "records wait in the sidecar of pod {}, since a sink takes none, or fewer than there are",
        "see the conditions of the sinks, and whether the pod reaches their addresses",
    ),
}


@dataclass(frozen=True, slots=True)
class SidecarTotals:
    """What the sidecars of one policy have counted since the operator began to ask them, and what waits in them now."""

    received: int = 0
    refused: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    sinks: Mapping[str, ExporterFigures] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SidecarFigures:
    """What is known of the sidecars of one policy. Totals do not count when two are compared: they change all the time.

    Attributes:
        answering: pods whose sidecar has answered lately; None before they were asked.
        is_awaited: whether there are sidecars, and none has ever answered.
        silent: one of the pods whose sidecar has not, although it was asked several times; empty if there is none. One
            with a sidecar of an earlier release counts only where none answers.
        quarantined: lines that break the standard, in steps, by entry of the policy's files.
        troubled: an example pod for each trouble.
        totals: for metrics.
    """

    answering: int | None = 0
    is_awaited: bool = False
    silent: str = ""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    troubled: Mapping[Trouble, str] = field(default_factory=dict)
    totals: SidecarTotals = field(default=SidecarTotals(), compare=False)

    @property
    def sources(self) -> tuple[QuarantinedSource, ...]:
        """Where lines break the standard, the most first."""
        found = sorted(self.quarantined.items(), key=lambda each: (-each[1], each[0]))
        return tuple(QuarantinedSource(source=source, lines=lines) for source, lines in found)

    def findings(self) -> Iterator[Finding]:
        """What the owner of the policy should know, and what keeps nothing from being shipped."""
        if self.quarantined:
            yield Finding(
                QUARANTINED,
                Severity.WARNING,
                f"lines break the standard, most of them in {self.sources[0].source}: they are shipped, and their "
                "field `quarantine` says why",
                "`audit-operator logs check` says it of each line of a file; mend the application, or say in "
                "spec.applicationLogs.fields and timeFormat how it writes",
                path="spec.applicationLogs",
            )
        if self.silent:
            yield Finding(
                SILENT,
                Severity.WARNING,
                f"what sidecars have counted is not known of all: that of pod {self.silent}, for example, does not "
                "answer the operator",
                "let the operator reach ports 19000 to 19999 of pods (NetworkPolicies, service meshes), restart pods "
                "with a sidecar of an earlier release, or switch it off: AUDIT_OPERATOR_SIDECAR_FIGURES_SECONDS",
            )


def trouble(figures: SidecarFigures | None) -> Claim | None:
    """That records do not arrive, by a sidecar's own account."""
    if figures is None:
        return None
    for each, (reason, said, mend) in _SAID.items():
        if each in figures.troubled:
            return false(ConditionType.SHIPPING, reason, f"{said.format(figures.troubled[each])} ({mend})")
    return None


def silence(figures: SidecarFigures | None) -> Claim | None:
    """That nobody knows whether they do, since none of the sidecars answers, or none has yet."""
    if figures is None or figures.answering:
        return None
    if not figures.silent:
        return unknown(ConditionType.SHIPPING, Reason.PENDING, _AWAITED) if figures.is_awaited else None
    [finding] = [each for each in figures.findings() if each.id == SILENT]
    said = f"no sidecar answers, so nobody knows whether they ship: {finding.message} ({finding.mend})"
    return unknown(ConditionType.SHIPPING, Reason.SIDECARS_SILENT, said)


_AWAITED = "no sidecar has told yet what it has counted, so nobody knows whether they ship"
NOT_ASKED = SidecarFigures(answering=None, is_awaited=True)
"""Of a policy whose sidecars will be asked in a moment."""


def stepped(counted: Mapping[str, int]) -> dict[str, int]:
    """Counts as status may show them."""
    return {each: step(count) for each, count in counted.items() if count}
