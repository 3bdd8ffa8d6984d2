"""What a verification came to, signed by whoever verified: so that others can say it, and nobody can say it better.

Reports are kept beside the seals, each under the next number. Each also names the last seal that was there: whoever
deletes seals and has them made anew would have to make the reports disappear as well.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, ValidationError

from audit_operator.api.findings import Severity  # noqa: TC001 - pydantic needs it
from audit_operator.integrity.interval import Interval, moment, read_moment
from audit_operator.integrity.signed import Count, Hash, Moment, Number, Part, Scope, Signed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from audit_operator.integrity.discovery import Discovery, Kind

MOST_NOTED = 100
"""Findings of a report, of one kind and interval each, the worst first; the rest are counted."""
_LONGEST = 512


class Head(Part):
    """The last seal that was there: its number, and SHA-256 of its bytes."""

    sequence: Number
    digest: Hash


class Noted(Part):
    """Findings of one kind in one interval.

    Attributes:
        kind: of `discovery.Kind`; or of a later release.
        severity: how bad it is.
        chain: whether it is about the seals, all of which each verification checks.
        since: begin of the interval; empty where that is not known.
        until: its end.
        seal: number of the seal concerned; 0: none.
        count: how many findings these are.
        message: that of the first.
    """

    kind: Annotated[str, Field(pattern="^[a-z-]{1,64}$")]
    severity: Severity
    chain: bool
    since: Moment = ""
    until: Moment = ""
    seal: Count = 0
    count: Number = 1
    message: Annotated[str, Field(max_length=_LONGEST)] = ""

    @property
    def interval(self) -> Interval | None:
        """Where, in time."""
        return _interval(self.since, self.until)


class Report(Signed):
    """One verification.

    Attributes:
        sequence: its number, from 1.
        made_at: when it ended, by the clock of whoever verified.
        head: see Head; None where there was none that could be used.
        since: begin of the first interval that was compared with the store; empty where none was.
        until: end of the last.
        seals: how many were right.
        intervals: how many were compared.
        records: how many were found there.
        failure: why it ended early; empty where it did not.
        findings: what was found, the worst first.
        more: findings that are not among these, of the same kinds and intervals or not.
    """

    prefix: ClassVar[bytes] = b"audit-operator.dev/report/v1\0"

    version: Literal[1] = 1
    scope: Scope
    sequence: Number
    made_at: Moment
    head: Head | None = None
    since: Moment = ""
    until: Moment = ""
    seals: Count = 0
    intervals: Count = 0
    records: Count = 0
    failure: Annotated[str, Field(max_length=_LONGEST)] = ""
    findings: Annotated[tuple[Noted, ...], Field(max_length=MOST_NOTED)] = ()
    more: Count = 0

    @property
    def span(self) -> Interval | None:
        """What was compared with the store."""
        return _interval(self.since, self.until)

    @property
    def has_checked_chain(self) -> bool:
        """Whether it came so far that what it says about the seals says all about them."""
        return bool(self.seals) or not self.failure

    @property
    def time(self) -> datetime:
        """When it was made."""
        return read_moment(self.made_at)


def decode(encoded: bytes) -> Report | None:
    """The report with these bytes; None where they are none."""
    try:
        report = Report.model_validate_json(encoded)
        _ = (report.time, report.span, [each.interval for each in report.findings])
        return report if report.encode() == encoded else None
    except (ValidationError, ValueError, RecursionError):
        return None


def noted(discoveries: Iterable[Discovery]) -> tuple[tuple[Noted, ...], int]:
    """Findings as a report has them, and how many it does not have."""
    groups: defaultdict[tuple[Kind, Interval | None], list[Discovery]] = defaultdict(list)
    for each in discoveries:
        groups[each.kind, each.interval].append(each)
    # Within a severity, in the order in which they were found.
    ordered = sorted(groups.items(), key=lambda group: -group[0][0].severity.rank)
    made = tuple(_noted(kind, interval, found) for (kind, interval), found in ordered[:MOST_NOTED])
    return made, sum(len(found) for _, found in ordered[MOST_NOTED:])


def _noted(kind: Kind, interval: Interval | None, found: list[Discovery]) -> Noted:
    return Noted(
        kind=kind.value,
        severity=kind.severity,
        chain=kind.is_about_chain,
        since=moment(interval.since) if interval else "",
        until=moment(interval.until) if interval else "",
        seal=found[0].seal,
        count=len(found),
        message=found[0].message[:_LONGEST],
    )


def _interval(since: str, until: str) -> Interval | None:
    """Raises ValueError where these are no times in that order."""
    if not since and not until:
        return None
    made = Interval(read_moment(since), read_moment(until))
    if made.since > made.until:
        raise ValueError
    return made
