"""`verify`: whether a store still has what was sealed, and if not, what is not as it was and where."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit_operator.api.findings import Severity
from audit_operator.api.text import printable
from audit_operator.cli.sealing import (
    add_chain,
    chosen_sinks,
    duration,
    open_chain,
    public_keys,
    read_bytes,
    show_progress,
    signing_key,
    when,
)
from audit_operator.cli.usage import UsageError
from audit_operator.integrity.interval import exact, moment

if TYPE_CHECKING:
    from audit_operator.cli.sealing import Opened
    from audit_operator.integrity.discovery import Discovery
    from audit_operator.integrity.keys import SigningKey, VerifyKey
    from audit_operator.integrity.seal import Scope
    from audit_operator.integrity.warrant import Warrant
    from audit_operator.plan.sinks import Sink
    from audit_operator.sinks.store import Failure
    from audit_operator.sinks.verifying import Verification

EXAMPLES = """examples:
  audit-operator verify central --public-key seal.pem.pub --seals-sink worm             everything that is sealed
  audit-operator verify central --public-key seal.pem.pub --seals-sink worm --since 7d  what the store still has to have
  audit-operator verify central --public-key new.pub --public-key old.pub --seals /mnt/seals
  audit-operator verify central --public-key seal.pem.pub --seals ./seals -o json | jq '.findings[] | .auditID'
  audit-operator verify central --public-key seal.pem.pub --seals-sink worm --since 30d --turn 120h --report-key v.pem
  audit-operator verify central --public-key seal.pem.pub --seals ./seals --erasures ./warrants \\
    --erasure-key erase.pem.pub                                                         some were erased by right
  audit-operator verify payments/own -n payments --public-key seal.pem.pub --seals ./seals -f sink.yaml

Needs 32 bytes of memory for each record of an interval; of a bucket, for each of all the time that is verified, since
its objects are read once for all of it. What each finding means stands in docs/integrity.md.

With --report-key, earlier reports also name the last seal that there was: seals that were deleted since and made anew
are found, in a folder as well.

Exit status: 0 if everything is as it was sealed; 1 if not, if nothing was compared, if not everything could be read, or
if no report could be kept; 2 for wrong usage.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "verify",
        help="find what a store has lost, changed or got since it was sealed",
        description="Read a store again and compare it with the seals of its intervals.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_chain(parser, sink=True)
    parser.add_argument(
        "--since", metavar="WHEN", type=when, help="compare only intervals that end later (default: all)"
    )
    parser.add_argument(
        "--until", metavar="WHEN", type=when, help="compare only intervals that end by then (default: all)"
    )
    parser.add_argument(
        "--within",
        metavar="TIME",
        type=duration,
        default=timedelta(hours=3),
        help="for how long after its end an interval may be without a seal (default: 3h)",
    )
    parser.add_argument(
        "--report-key",
        metavar="FILE",
        type=Path,
        help="private key that signs a report of this run (PEM, Ed25519), which is kept beside the seals; its public "
        "key belongs into spec.seals.verification of the sink, whose status then says what was found",
    )
    parser.add_argument(
        "--turn",
        metavar="LENGTH",
        type=duration,
        help="compare only so long a time, after that of the last report; after the last interval, begin anew",
    )
    parser.add_argument(
        "--accept",
        metavar="DIGEST",
        action="append",
        default=[],
        help="digest of a seal that is taken for good, though an earlier report names another of its number",
    )
    erased = parser.add_argument_group("records that were erased by right")
    erased.add_argument(
        "--erasures",
        metavar="FOLDER",
        type=Path,
        help="with what `erase --warrants` has written; with --report-key, it is put beside the seals, and later runs "
        "find it there",
    )
    erased.add_argument(
        "--erasure-key",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="public key of whoever may erase (PEM, Ed25519); may be given again",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Verify, and say what came of it."""
    keys = public_keys(options.public_key)
    if not keys:
        raise UsageError("say whose seals are trusted, with --public-key FILE")
    reporting = signing_key(options.report_key) if options.report_key is not None else None
    if reporting is None and options.turn is not None:
        raise UsageError(
            "--turn goes on where the last report ended: say which key signs reports, with --report-key FILE"
        )
    result, scope = asyncio.run(_verify(options, keys, reporting, chosen_sinks(options)))
    print(json.dumps(_as_json(result, scope), indent=2) if options.output == "json" else _text(result, scope))
    if result.failure is not None:
        said = f"not everything was verified: {result.failure.message} ({result.failure.mend})"
        print(f"audit-operator: {scope}: {said}", file=sys.stderr)
    return int(not _is_ok(result))


async def _verify(
    options: argparse.Namespace, keys: tuple[VerifyKey, ...], reporting: SigningKey | None, sinks: tuple[Sink, ...]
) -> tuple[Verification, Scope]:
    from audit_operator.sinks.reporting import Earlier, Reporter  # noqa: PLC0415 - see `sealing.open_chain`
    from audit_operator.sinks.store import Failure  # noqa: PLC0415
    from audit_operator.sinks.verifying import Question, Turn, Verification, verify  # noqa: PLC0415

    opened = await open_chain(options, sinks)
    reporter = Reporter(opened.scope, opened.archive, reporting, keys) if reporting is not None else None
    earlier = await reporter.earlier() if reporter is not None else Earlier()
    if isinstance(earlier, Failure):
        return Verification(failure=earlier), opened.scope
    erased = await _erased(options, opened, keep=reporter is not None)
    if isinstance(erased, Failure):
        return Verification(failure=erased), opened.scope
    question = Question(
        opened.scope,
        keys,
        datetime.now(UTC),
        options.within,
        options.since,
        options.until,
        Turn(options.turn, earlier.compared) if options.turn is not None else None,
        earlier.pinned,
        frozenset(options.accept),
        erased,
    )
    result = await verify(question, opened.scanner, opened.archive, show_progress)
    if reporter is not None:
        kept = await reporter.keep(result, datetime.now(UTC))
        if isinstance(kept, Failure):
            result.failure = result.failure or kept
    return result, opened.scope


async def _erased(options: argparse.Namespace, opened: Opened, *, keep: bool) -> dict[bytes, str] | Failure:
    """What was erased by right from this store; `keep`: and put what says so beside the seals."""
    from audit_operator.integrity.warrant import warranted  # noqa: PLC0415 - see `sealing.open_chain`
    from audit_operator.sinks.store import Failure  # noqa: PLC0415
    from audit_operator.sinks.warrants import keep_warrants, kept_warrants  # noqa: PLC0415

    given = _warrants(options)
    if not options.erasure_key:
        return {}
    kept = await kept_warrants(opened.archive)
    if isinstance(kept, Failure):
        return kept
    failed = await keep_warrants(opened.archive, given) if keep else None
    return failed or warranted([*kept, *given], opened.scope.sink, public_keys(options.erasure_key))


def _warrants(options: argparse.Namespace) -> list[Warrant]:
    from audit_operator.integrity.warrant import decode  # noqa: PLC0415 - see `sealing.open_chain`

    if options.erasures is None:
        return []
    if not options.erasure_key:
        raise UsageError("say who may erase, with --erasure-key FILE")
    if not options.erasures.is_dir():
        raise UsageError(f"--erasures {options.erasures}: there is no such folder")
    warrants = []
    for path in _json_files(options.erasures):
        warrant = decode(read_bytes(path))
        if warrant is None:
            raise UsageError(f"{path} is nothing that `erase --warrants` has written")
        warrants.append(warrant)
    return warrants


def _json_files(folder: Path) -> list[Path]:
    # Not by glob(), which passes over what it may not list: without its warrant, what was erased by right is missing.
    try:
        return sorted(each for each in folder.iterdir() if each.suffix == ".json")
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}") from error


def _is_ok(result: Verification) -> bool:
    return (
        result.failure is None
        and result.intervals > 0
        and all(each.kind.severity is not Severity.ERROR for each in result.discoveries)
    )


def _text(result: Verification, scope: Scope) -> str:
    lines = [_line(each) for each in result.discoveries]
    found = len([each for each in result.discoveries if each.kind.severity is Severity.ERROR])
    incomplete = "not verified whole" if result.failure else "NOTHING was compared"
    verdict = "as sealed" if _is_ok(result) else "NOT as sealed" if found else incomplete
    compared = f"{result.intervals} intervals" + (f" from {result.span}" if result.span else "")
    counted = f"{result.seals} seals, {compared}, {result.records} records"
    lines.append(f"{scope}: {verdict} ({counted}, {found} findings)")
    return "\n".join(lines)


def _line(each: Discovery) -> str:
    where = [str(each.interval)] if each.interval else []
    where += [f"seal {each.seal}"] if each.seal else []
    if each.identity is not None:
        of = each.identity
        where += [f"namespace {of.namespace}"] if of.namespace else []
        where += [f"auditID {of.audit_id} {of.stage}".rstrip()]
    mend = f" ({each.mend})" if each.mend else ""
    place = ", ".join(where)
    return printable(f"{each.kind.severity.lower()}: {each.kind}: {place}{': ' if place else ''}{each.message}{mend}")


def _as_json(result: Verification, scope: Scope) -> dict[str, Any]:
    failed = result.failure
    return {
        "scope": scope.model_dump(),
        "ok": _is_ok(result),
        "seals": result.seals,
        "intervals": result.intervals,
        "since": moment(result.span.since) if result.span else None,
        "until": moment(result.span.until) if result.span else None,
        "records": result.records,
        "failure": {"reason": failed.reason.value, "message": failed.message, "mend": failed.mend} if failed else None,
        "findings": [_finding(each) for each in result.discoveries],
    }


def _finding(each: Discovery) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": each.kind.value,
        "severity": each.kind.severity.value,
        "message": each.message,
        "mend": each.mend,
        "since": moment(each.interval.since) if each.interval else None,
        "until": moment(each.interval.until) if each.interval else None,
        "seal": each.seal or None,
        "records": each.records,
    }
    if each.identity is not None:
        of = each.identity
        document |= {"auditID": of.audit_id, "stage": of.stage, "namespace": of.namespace}
        document["time"] = exact(each.nanoseconds or 0)
    return document
