"""What bodies of requirements say about how long records are kept, each number with its source.

Numbers in months and years are the longest that these can be in days: to keep a day too long harms nobody, and to
delete a day too early breaks the rule. Nothing here is legal advice; what nobody has checked against the text itself is
marked, and said so wherever it counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.compliance import Framework

if TYPE_CHECKING:
    from collections.abc import Iterable

_DAY = 24
_QUARTER, _YEAR = 92 * _DAY, 366 * _DAY
_SIX_YEARS = (6 * 365 + 2) * _DAY


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement about the time for which records are kept.

    Attributes:
        framework: that it belongs to.
        article: where it stands.
        text: what it asks for, in our words.
        minimum: hours for which records must be kept; 0 where no number is given.
        hot: hours for which they must be searchable at once.
        needs_maximum: whether records must not be kept for ever.
        verified: whether the number was read in the text itself, and not in what others write about it.
    """

    framework: Framework
    article: str
    text: str
    minimum: int = 0
    hot: int = 0
    needs_maximum: bool = False
    verified: bool = False

    def __str__(self) -> str:
        return f"{self.framework} {self.article}" + ("" if self.verified else " (unverified)")


REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement(
        Framework.CIS,
        "Kubernetes Benchmark, --audit-log-maxage",
        "the API server keeps its own audit files for at least 30 days",
        minimum=30 * _DAY,
    ),
    Requirement(
        Framework.DORA,
        "Delegated Regulation (EU) 2024/1774, article 12",
        "logs are protected and failures of logging detected; no time is given",
    ),
    Requirement(
        Framework.GDPR,
        "article 5(1)(e)",
        "personal data is kept no longer than is necessary for its purpose; no time is given",
        needs_maximum=True,
    ),
    Requirement(
        Framework.HIPAA,
        "45 CFR 164.316(b)(2)(i)",
        "documentation is kept for six years; whether logs are documentation is disputed",
        minimum=_SIX_YEARS,
    ),
    Requirement(Framework.ISO27001, "Annex A 8.15", "logs are kept and protected; no time is given"),
    Requirement(
        Framework.NIST_800_53, "AU-11", "records are kept for as long as the organisation's policy says; none is given"
    ),
    Requirement(
        Framework.PCI_DSS_4,
        "10.5.1",
        "audit logs are kept for at least 12 months, the latest three available at once",
        minimum=_YEAR,
        hot=_QUARTER,
    ),
    Requirement(Framework.SOC2, "CC7.2", "events are monitored; no time is given, auditors commonly ask for a year"),
)
"""Source: the texts named by `article`, as read by others; none was verified when this was written."""


def requirements(frameworks: Iterable[Framework]) -> tuple[Requirement, ...]:
    """What these frameworks ask for, in the order of the table."""
    wanted = frozenset(frameworks)
    return tuple(each for each in REQUIREMENTS if each.framework in wanted)
