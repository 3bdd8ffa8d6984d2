"""Frameworks that coverage and retention are reported against."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from audit_operator.api.constraints import SET
from audit_operator.api.model import ApiModel


class Framework(StrEnum):
    """A body of requirements."""

    CIS = "CIS"
    DORA = "DORA"
    GDPR = "GDPR"
    HIPAA = "HIPAA"
    ISO27001 = "ISO27001"
    NIST_800_53 = "NIST800-53"
    PCI_DSS_4 = "PCI-DSS-4"
    SOC2 = "SOC2"


class Compliance(ApiModel):
    """What is reported on."""

    frameworks: Annotated[tuple[Framework, ...], Field(max_length=8), SET] = Field(
        default=(), description="Frameworks whose controls are judged, with evidence, in status and in reports."
    )
