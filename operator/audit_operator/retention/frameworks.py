"""What bodies of requirements say about how long records are kept, each number with its source.

Numbers in months and years are the longest that these can be in days: to keep a day too long harms nobody, and to
delete a day too early breaks the rule. Nothing here is legal advice; what nobody has read in the words of the text is
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
        read_in: where its words were read, the number or that there is none among them; empty: only what others write
            about it is known.
    """

    framework: Framework
    article: str
    text: str
    minimum: int = 0
    hot: int = 0
    needs_maximum: bool = False
    read_in: str = ""

    @property
    def verified(self) -> bool:
        """Whether its words were read."""
        return self.read_in != ""

    def __str__(self) -> str:
        return f"{self.framework} {self.article}" + ("" if self.verified else " (unverified)")


REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement(
        Framework.CIS,
        "Kubernetes Benchmark 1.2.17, --audit-log-maxage",
        "the API server keeps its own audit files for at least 30 days, or as appropriate",
        minimum=30 * _DAY,
        read_in="1.2.23 of version 1.5.1 as Tenable publishes it; the same in kube-bench's cfg/cis-1.11/master.yaml",
    ),
    Requirement(
        Framework.DORA,
        "Delegated Regulation (EU) 2024/1774, article 12",
        "financial entities set the time themselves, by purpose and risk; no number is given",
        read_in="article 12 and recital 20 as springlex.eu publishes OJ L, 2024/1774",
    ),
    Requirement(
        Framework.GDPR,
        "article 5(1)(e)",
        "personal data is kept no longer than is necessary for its purpose; no time is given",
        needs_maximum=True,
        read_in="Regulation (EU) 2016/679, article 5, as legiscope.com quotes it from EUR-Lex",
    ),
    Requirement(
        Framework.HIPAA,
        "45 CFR 164.316(b)(2)(i)",
        "documentation is kept for six years; whether logs are documentation is disputed",
        minimum=_SIX_YEARS,
        read_in="the Code of Federal Regulations, 45CFR164.316, revised as of 2008-01-01; the same at law.lawstack.com "
        "as of 2026-06-20",
    ),
    Requirement(
        Framework.ISO27001, "Annex A 8.15", "logs are produced, stored, protected and analysed; no time is given"
    ),
    Requirement(
        Framework.NIST_800_53,
        "AU-11",
        "records are kept for as long as the organisation's policy says; none is given",
        read_in="AU-11 of revision 5 as controlfreak.risk-redux.io publishes NIST's catalogue",
    ),
    Requirement(
        Framework.PCI_DSS_4,
        "10.5.1",
        "audit logs are kept for at least 12 months, the latest three immediately available for analysis",
        minimum=_YEAR,
        hot=_QUARTER,
        read_in="requirement, testing procedures and purpose as withpci.com publishes them; the same sentence for "
        "4.0.1 at learn.daydream.ai",
    ),
    Requirement(
        Framework.SOC2, "CC7.2", "anomalies are looked for; no time is given, auditors commonly ask for a year"
    ),
)
"""Source: the texts named by `article`, read where `read_in` says (2026-11-28), or as others report them. None of the
publishers' own documents is free for everybody to fetch, but for those of the law."""


def requirements(frameworks: Iterable[Framework]) -> tuple[Requirement, ...]:
    """What these frameworks ask for, in the order of the table."""
    wanted = frozenset(frameworks)
    return tuple(each for each in REQUIREMENTS if each.framework in wanted)
