"""Keeping what a verification came to beside the seals, for those who have no store to read and no time to do it.

An earlier report also says where the next verification goes on, and which seals there were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.integrity.interval import Interval, moment
from audit_operator.integrity.report import Report, noted
from audit_operator.sinks.access import failure
from audit_operator.sinks.seal_archive import report_name
from audit_operator.sinks.seal_watching import Reports
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from datetime import datetime

    from audit_operator.integrity.keys import SigningKey, VerifyKey
    from audit_operator.integrity.signed import Scope
    from audit_operator.sinks.seal_archive import SealArchive
    from audit_operator.sinks.verifying import Verification

_TRIES = 3
_LONGEST = 512
_LAST = 10**12 - 1
"""A longer number is in no name that is looked for."""
_NO_NUMBER = failure(
    Reason.CHAIN_UNUSABLE,
    f"there is a report of number {_LAST}, after which none can come: somebody has written it; see in the archive who, "
    "and remove it",
)
_ELSEWHERE = failure(Reason.CHAIN_UNUSABLE, "others report at the same time, again and again")


@dataclass(frozen=True, slots=True)
class Earlier:
    """What reports say that are there already.

    Attributes:
        compared: what the last one has compared that has compared anything. Where that was ended by a failure, it has
            no length, so that nobody takes its end for the end of all that there was.
        pinned: seals that were there, by number and digest; None where nobody looks for reports.
    """

    compared: Interval | None = None
    pinned: tuple[tuple[int, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class Reporter:
    """Reports about one chain.

    Attributes:
        scope: whose chain.
        archive: that keeps its seals.
        key: that signs reports.
        trusted: keys that have signed before.
    """

    scope: Scope
    archive: SealArchive
    key: SigningKey
    trusted: tuple[VerifyKey, ...] = ()

    async def earlier(self) -> Earlier | Failure:
        """What there is."""
        reports = Reports(self.scope, (self.key.public, *self.trusted))
        failed = await reports.read(self.archive)
        if failed is not None:
            return failed
        newest_first = reports.newest_first()
        compared = next((_compared(each.span, each.failure) for each in newest_first if each.span is not None), None)
        return Earlier(compared, tuple((each.head.sequence, each.head.digest) for each in newest_first if each.head))

    async def keep(self, result: Verification, now: datetime) -> Report | Failure:
        """Report what a verification came to, under the next number."""
        for _ in range(_TRIES):
            numbers = await self.archive.reports()
            if isinstance(numbers, Failure):
                return numbers
            number = max(numbers, default=0) + 1
            if number > _LAST:
                return _NO_NUMBER
            report = self._report(number, result, now)
            kept = await self.archive.add(report_name(report.sequence), report.encode())
            if isinstance(kept, Failure):
                return kept
            if kept:
                return report
        return _ELSEWHERE

    def _report(self, number: int, result: Verification, now: datetime) -> Report:
        findings, more = noted(result.discoveries)
        span = result.span
        return self.key.sign(
            Report(
                scope=self.scope,
                sequence=number,
                made_at=moment(now),
                head=result.head,
                since=moment(span.since) if span is not None else "",
                until=moment(span.until) if span is not None else "",
                seals=result.seals,
                intervals=result.intervals,
                records=result.records,
                failure=result.failure.message[:_LONGEST] if result.failure is not None else "",
                findings=findings,
                more=more,
                key_id=self.key.public.id,
            )
        )


def _compared(span: Interval, failure: str) -> Interval:
    return Interval(span.until, span.until) if failure else span
