"""What a node says about its shipper. It travels as JSON in an annotation of the node's Lease."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict

from audit_operator.api.findings import Severity
from audit_operator.api.observations import ExporterFigures, ShipperObservation

REPORT_ANNOTATION = "audit-operator.dev/report"

LARGEST = 200_000
"""Bytes; all annotations of an object may take 256 KiB."""


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
        """As JSON; without the figures of single sinks where there are too many of them."""
        text = self.model_dump_json(exclude_defaults=True)
        if len(text) <= LARGEST or self.seen is None:
            return text
        ways = tuple(replace(each, figures=ExporterFigures()) for each in self.seen.exporters)
        return self.model_copy(update={"seen": replace(self.seen, exporters=ways)}).model_dump_json(
            exclude_defaults=True
        )
