"""What a node says about its shipper. It travels as JSON in an annotation of the node's Lease."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from audit_operator.api.findings import Severity
from audit_operator.api.observations import ExporterFigures, ExporterObservation, Flow, ShipperObservation

REPORT_ANNOTATION = "audit-operator.dev/report"

LARGEST = 200_000
"""Bytes; all annotations of an object may take 256 KiB."""

_WORST_FIRST = (Flow.LOSSY, Flow.BACKLOG, Flow.FLOWING, Flow.NOTHING)
_WAY = TypeAdapter(ExporterObservation)
_NO_WAYS = '"exporters":[],'


class Refusal(BaseModel):
    """Why a node does not run what it was told to."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    severity: Severity
    message: str
    mend: str = ""


class ShipperReport(BaseModel):
    """One node's shipper, as it sees itself.

    Attributes:
        version: of this format.
        plane: name of the AuditControlPlane that it serves.
        wanted: digest of the configuration that it was told last; empty while nothing is to be shipped.
        refused: why it does not run that one.
        problem: why it does not know what to run, for a human.
        seen: what it sees of its collector; None while nothing is to be shipped.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    plane: str
    wanted: str = ""
    refused: tuple[Refusal, ...] = ()
    problem: str = ""
    seen: ShipperObservation | None = None

    def encoded(self) -> str:
        """As JSON; without the figures of single sinks where there are too many, and then without those that are well.

        What were too large would be refused together with the Lease, and the node would look silent.
        """
        text = _json(self)
        if len(text.encode()) <= LARGEST or self.seen is None:
            return text
        ways = tuple(replace(each, figures=ExporterFigures()) for each in self.seen.exporters)
        text = _json(_about(self, self.seen, ways))
        return (
            text if len(text.encode()) <= LARGEST else _json(_about(self, self.seen, _that_fit(self, self.seen, ways)))
        )


def _json(report: ShipperReport) -> str:
    return report.model_dump_json(exclude_defaults=True)


def _about(report: ShipperReport, seen: ShipperObservation, ways: tuple[ExporterObservation, ...]) -> ShipperReport:
    """The same about these ways alone; one that leaves some out says so."""
    missing = len(seen.exporters) - len(ways)
    said = f"there is no room in its report for {missing} of its sinks" if missing else ""
    problem = "; ".join(filter(None, (seen.last_error, said)))
    return report.model_copy(update={"seen": replace(seen, exporters=ways, last_error=problem)})


def _that_fit(
    report: ShipperReport, seen: ShipperObservation, ways: tuple[ExporterObservation, ...]
) -> tuple[ExporterObservation, ...]:
    """The worst first; a sink that is left out counts as one to which nothing was sent yet, never as well."""
    room = LARGEST - len(_json(_about(report, seen, ())).encode()) - len(_NO_WAYS)
    kept = []
    for each in sorted(ways, key=lambda way: (_WORST_FIRST.index(way.flow), way.exporter)):
        room -= len(_WAY.dump_json(each, exclude_defaults=True)) + len(",")
        if room < 0:
            break
        kept.append(each)
    return tuple(sorted(kept, key=lambda way: way.exporter))
