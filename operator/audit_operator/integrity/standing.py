"""What still holds of what several verifications came to, each of which has compared a part of all that is sealed.

A finding stands until a later verification has compared the same time again and not found it. That everything is as it
was sealed can be said only of what was compared, and not for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from audit_operator.integrity.interval import Interval
from audit_operator.integrity.report import Noted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from audit_operator.integrity.report import Report

_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds now.

    Attributes:
        last: the newest report; None where there is none.
        findings: that nothing later has refuted.
        uncovered: the first time that had to be compared and was not, lately enough; None where there is none.
    """

    last: Report | None = None
    findings: tuple[Noted, ...] = ()
    uncovered: Interval | None = None


@dataclass(slots=True)
class Cover:
    """Spans of time, put together: in order, and none of them touches another."""

    spans: list[Interval] = field(default_factory=list)

    def add(self, span: Interval) -> None:
        """One more."""
        apart = [each for each in self.spans if each.until < span.since or span.until < each.since]
        touching = [each for each in self.spans if each not in apart]
        since = min([span.since, *(each.since for each in touching)])
        until = max([span.until, *(each.until for each in touching)])
        self.spans = sorted([*apart, Interval(since, until)])

    def lacks(self, span: Interval) -> Interval | None:
        """The first part of a span that no other covers."""
        since = span.since
        for each in self.spans:
            if each.since <= since < each.until:
                since = each.until
        if since >= span.until:
            return None
        following = [each.since for each in self.spans if since < each.since < span.until]
        return Interval(since, min([span.until, *following]))


def standing(
    reports: Sequence[Report], now: datetime, every: timedelta, kept_for: timedelta, begins: datetime
) -> Standing:
    """Judge reports, the newest first.

    Args:
        reports: those whose signature is right.
        now: the time.
        every: within which time everything must be compared once.
        kept_for: age up to which records must be there.
        begins: begin of the first interval that is sealed.
    """
    fresh, compared = Cover(), Cover()
    found: list[Noted] = []
    is_newest = True
    for report in reports:
        found += (each for each in _all(report) if _stands(each, report, compared, now - kept_for, newest=is_newest))
        is_newest = is_newest and not report.has_checked_chain
        if report.span is not None:
            compared.add(report.span)
            # A clock that goes ahead makes none last longer.
            if now - every < report.time <= now + _SKEW:
                fresh.add(report.span)
    due = _due(begins, now, every, kept_for)
    uncovered = fresh.lacks(due) if due else None
    if not fresh.spans and begins < now - every:
        # Also where nothing has to be there for so long: that nobody looked is no reason to say that all is well.
        uncovered = uncovered or Interval(max(begins, now - kept_for), now)
    return Standing(reports[0] if reports else None, tuple(found), uncovered)


def _due(begins: datetime, now: datetime, every: timedelta, kept_for: timedelta) -> Interval | None:
    """What must have been compared by now: it was sealed so long ago, and must still be there."""
    since, until = max(begins, now - kept_for), now - every
    return Interval(since, until) if since < until else None


def _stands(noted: Noted, report: Report, compared: Cover, kept_since: datetime, *, newest: bool) -> bool:
    """Whether it does: records from before `kept_since` need not be there any more, and nobody compares them again."""
    where = noted.interval or report.span
    if noted.chain or where is None:
        return newest
    left = Interval(max(where.since, kept_since), where.until)
    return left.since < left.until and compared.lacks(left) is not None


def _all(report: Report) -> Iterable[Noted]:
    yield from report.findings
    if report.more:
        severity = report.findings[-1].severity
        message = "there are more findings than the report names"
        yield Noted(kind="more", severity=severity, chain=False, count=report.more, message=message)
