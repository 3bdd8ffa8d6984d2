"""The status of a sink as what the operator remembers of its seals, and what it has just seen as that status."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from audit_operator.api.findings import Severity
from audit_operator.api.seal_observations import SealFigures, SealObservation
from audit_operator.api.sink_seals import (
    MOST_FINDINGS,
    LastVerification,
    RememberedSeal,
    SealFinding,
    SealsOfSink,
    SealState,
)
from audit_operator.api.text import printable
from audit_operator.integrity.discovery import Kind
from audit_operator.integrity.interval import moment
from audit_operator.integrity.signed import digest
from audit_operator.integrity.watch import LastSeal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from audit_operator.integrity.discovery import Discovery
    from audit_operator.integrity.report import Noted, Report
    from audit_operator.integrity.standing import Standing
    from audit_operator.integrity.watch import Watched

_LONGEST = 1024
_INVALID = frozenset(
    {
        Kind.SEAL_CHANGED,
        Kind.SEAL_MEDDLED,
        Kind.SEAL_KEY_UNKNOWN,
        Kind.SEAL_MISPLACED,
        Kind.CHAIN_BROKEN,
    }
)


def remembered(document: Mapping[str, Any], chain: str) -> SealsOfSink:
    """What the status of a sink, as the API server has it, says about this chain. Of another one, nothing is known.

    Where it is not known which chain that is, everything stays remembered.
    """
    found = (document.get("status") or {}).get("seals")
    try:
        status = SealsOfSink.model_validate_json(json.dumps(found), by_alias=True, by_name=False)
        if status.last is not None:
            last_seal(status)
    except (ValidationError, ValueError):
        return SealsOfSink(chain=chain)
    return status if chain in ("", status.chain) else SealsOfSink(chain=chain)


def last_seal(status: SealsOfSink) -> LastSeal | None:
    """The last seal that a status names. Raises ValueError where its times are none."""
    if status.last is None:
        return None
    of = status.last
    return LastSeal(of.sequence, of.digest, datetime.fromisoformat(of.made_at), datetime.fromisoformat(of.until))


def forgotten(before: SealsOfSink, reports: Mapping[int, Report], accepted: Collection[str]) -> str:
    """What is to be said of the last report that was seen, where there is none of its number now, or another one."""
    was = before.verified
    if was is None or was.digest in accepted:
        return ""
    now = reports.get(was.sequence)
    if now is None:
        return f"report {was.sequence} of a verification, {was.digest}, was there and is gone, or counts no longer"
    there = digest(now.encode())
    if there in {was.digest, *accepted}:
        return ""
    return f"report {was.sequence} of a verification was {was.digest}, and now is {there}"


def observed(
    before: SealsOfSink, watched: Watched, standing: Standing | None, *, gone: str = "", note: str = ""
) -> SealObservation:
    """What was just seen.

    Args:
        before: what is remembered.
        watched: what is true of the seals.
        standing: what verifications have found; None where nobody is expected to verify.
        gone: as `forgotten` says it; then the report that is remembered stays so.
        note: something to be said beside all else.
    """
    findings = [*map(_of_seals, watched.discoveries), *map(_of_report, standing.findings if standing else ())]
    # What the operator sees itself, a report need not say once more.
    shown = list({(each.id, each.since, each.seal): each for each in reversed(findings)}.values())[::-1]
    shown = [each for each in shown if each.severity is not Severity.INFO]
    shown.sort(key=lambda each: -each.severity.rank)
    status = SealsOfSink(
        chain=before.chain,
        last=_last(watched.last) if watched.last is not None else None,
        verified=before.verified if gone else _verification(standing) if standing is not None else None,
        findings=tuple(shown[:MOST_FINDINGS]),
    )
    counted: Counter[str] = Counter()
    for each in shown:
        counted[each.id] += each.count
    figures = SealFigures(
        up=True,
        sealed=watched.last.until.timestamp() if watched.last is not None else 0.0,
        verified=standing.last.time.timestamp() if standing is not None and standing.last is not None else 0.0,
        findings=dict(counted),
    )
    state, message = _judged(watched, standing, gone)
    said = f"{message}; {note}" if note else message
    return SealObservation(status, state, printable(said)[:_LONGEST], figures=figures)


def _judged(watched: Watched, standing: Standing | None, gone: str) -> tuple[SealState, str]:
    kinds = (
        (SealState.SEAL_REPLACED, frozenset({Kind.SEAL_REPLACED})),
        (SealState.SEAL_INVALID, _INVALID),
        (SealState.SEAL_MISSING, frozenset({Kind.SEAL_MISSING})),
    )
    for state, of in kinds:
        if found := [each for each in watched.discoveries if each.kind in of]:
            more = f"; and {len(found) - 1} more like that" if len(found) > 1 else ""
            return state, f"{found[0].message} ({found[0].mend}){more}"
    until = (
        f"everything up to {moment(watched.last.until)} is sealed" if watched.last is not None else "nothing is sealed"
    )
    if standing is None:
        return SealState.SEALED, f"{until}; nobody is expected to verify what the store has"
    errors = [each for each in standing.findings if each.severity is Severity.ERROR]
    if errors:
        count = sum(each.count for each in errors)
        return (
            SealState.VERIFY_FAILED,
            f"{_place(errors[0])}{errors[0].message}; {count} findings of verifications stand",
        )
    if gone:
        return SealState.VERIFY_OVERDUE, f"{gone} (verify everything once more; then accept the digest)"
    failed = standing.last.failure if standing.last is not None else ""
    ended = f"; the last verification ended early: {failed}" if failed else ""
    if standing.uncovered is not None:
        said = f"what is from {standing.uncovered} was not compared with its seals in time (see that the verifier runs)"
        return SealState.VERIFY_OVERDUE, f"{said}{ended}"
    verified = f"last verified at {standing.last.made_at}" if standing.last is not None else "not verified yet"
    return SealState.SEALED, f"{until}; {verified}{ended}"


def _place(noted: Noted) -> str:
    return f"{noted.interval}: " if noted.interval is not None else ""


def _last(seal: LastSeal) -> RememberedSeal:
    return RememberedSeal(
        sequence=seal.sequence, digest=seal.digest, made_at=moment(seal.made), until=moment(seal.until)
    )


def _verification(standing: Standing) -> LastVerification | None:
    report = standing.last
    if report is None:
        return None
    return LastVerification(
        sequence=report.sequence,
        digest=digest(report.encode()),
        made_at=report.made_at,
        since=report.since or None,
        until=report.until or None,
        records=report.records,
        failure=report.failure,
    )


def _of_seals(each: Discovery) -> SealFinding:
    return SealFinding(
        id=each.kind.value,
        severity=each.kind.severity,
        since=moment(each.interval.since) if each.interval is not None else None,
        until=moment(each.interval.until) if each.interval is not None else None,
        seal=each.seal,
        message=printable(each.message)[:_LONGEST],
    )


def _of_report(each: Noted) -> SealFinding:
    return SealFinding(
        id=each.kind,
        severity=each.severity,
        since=each.since or None,
        until=each.until or None,
        seal=each.seal,
        count=each.count,
        message=printable(each.message)[:_LONGEST],
    )
