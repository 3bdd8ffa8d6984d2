"""`seal`: state what a store has of the intervals that are over, so that it can be verified later."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit_operator.api.text import printable
from audit_operator.cli.sealing import (
    add_chain,
    chosen_sinks,
    duration,
    open_chain,
    public_keys,
    show_progress,
    signing_key,
    when,
)
from audit_operator.cli.usage import UsageError
from audit_operator.integrity.interval import moment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from audit_operator.integrity.keys import SigningKey
    from audit_operator.plan.sinks import Sink
    from audit_operator.sinks.sealing import Sealed, Sealer
    from audit_operator.sinks.store import Failure

EXAMPLES = """examples:
  audit-operator seal --new-key seal.pem                                  a key, and seal.pem.pub for whoever verifies
  audit-operator seal central --key seal.pem --seals-sink worm --new-chain   the first time: begin with the last hour
  audit-operator seal central --key seal.pem --seals-sink worm            every hour that is over and has no seal yet
  audit-operator seal central --key seal.pem --seals /mnt/seals --new-chain --since 7d   begin with seven days
  audit-operator seal central --key seal.pem --seals-sink worm --late 24h    also what came late in the last day
  audit-operator seal central --key new.pem --public-key old.pem.pub --seals-sink worm     with a renewed key
  audit-operator seal payments/own -n payments --key seal.pem --seals ./seals -f sink.yaml -f secret.yaml

Run it once an hour, one at a time for a sink, with a key that nobody has who can write to the store. An interval is
sealed once --lateness has passed since its end; what comes after that is sealed in addition, with --late.

Exit status: 0 if all that was due is sealed; 1 if something failed, is missing or could not be read; 2 for wrong usage.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "seal",
        help="sign what a store has, to verify it later",
        description="Read the intervals of a store that are over, and keep a signed seal of each.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_chain(parser, sink=False)
    parser.add_argument("--key", metavar="FILE", type=Path, help="private key that signs (PEM, Ed25519, no password)")
    parser.add_argument(
        "--new-chain",
        action="store_true",
        help="begin a chain, by hand and once; without it, to find no seal is a failure, since somebody deleted them",
    )
    parser.add_argument("--new-key", metavar="FILE", type=Path, help="make a key, write it there, and do nothing else")
    parser.add_argument(
        "--interval", metavar="LENGTH", type=duration, default=timedelta(hours=1), help="of one seal (default: 1h)"
    )
    parser.add_argument(
        "--lateness",
        metavar="TIME",
        type=duration,
        default=timedelta(hours=1),
        help="for how long after its end an interval waits for records (default: 1h)",
    )
    parser.add_argument(
        "--since", metavar="WHEN", type=when, help="where a new chain begins (default: with the last interval)"
    )
    parser.add_argument(
        "--late", metavar="AGE", type=when, help="read intervals since then again, and seal what came late"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Seal what is due."""
    if options.new_key is not None:
        return _make_key(options.new_key)
    if options.key is None:
        raise UsageError("say which key signs, with --key FILE; make one with --new-key FILE")
    return asyncio.run(_seal(options, signing_key(options.key), chosen_sinks(options)))


def _make_key(path: Path) -> int:
    from audit_operator.integrity.keys import SigningKey  # noqa: PLC0415 - see _seal

    key, public = SigningKey.make(), Path(f"{path}.pub")
    try:
        # The public one first: where one is there that has verified seals, nothing is made.
        with public.open("xb") as beside:
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except OSError:
                public.unlink()
                raise
            with os.fdopen(descriptor, "wb") as file:
                beside.write(key.public.pem())
                file.write(key.pem())
    except OSError as error:
        raise UsageError(f"cannot write {error.filename}: {error.strerror}") from error
    print(f"key {key.public.id}: {path} signs, {public} verifies")
    return 0


async def _seal(options: argparse.Namespace, key: SigningKey, sinks: tuple[Sink, ...]) -> int:
    # Imported here: the clients take a quarter of a second that other commands should not pay.
    from audit_operator.sinks.sealing import Sealer  # noqa: PLC0415
    from audit_operator.sinks.store import Failure  # noqa: PLC0415

    opened = await open_chain(options, sinks)
    sealer = Sealer(opened.scope, opened.scanner, opened.archive, key, public_keys(options.public_key))
    made, failed = [], None
    async for each in _all(options, sealer):
        if isinstance(each, Failure):
            failed = each
            break
        made.append(each)
        if options.output == "text":
            _say(each)
    if options.output == "json":
        print(json.dumps({"seals": [_as_json(each) for each in made], "failure": _failure_as_json(failed)}, indent=2))
    if failed is not None:
        print(f"audit-operator: {sinks[0].ref}: {failed.message} ({failed.mend})", file=sys.stderr)
    return int(failed is not None or any(each.missing or each.unreadable for each in made))


async def _all(options: argparse.Namespace, sealer: Sealer) -> AsyncGenerator[Sealed | Failure, None]:
    from audit_operator.sinks.store import Failure  # noqa: PLC0415 - see _seal

    again = await sealer.sealed(options.late) if options.late is not None else ()
    due = await sealer.due(datetime.now(UTC) - options.lateness, options.interval, options.since, new=options.new_chain)
    for intervals, make in ((due, sealer.seal), (again, sealer.supplement)):
        if isinstance(intervals, Failure):
            yield intervals
            return
        for interval in intervals:
            show_progress(f"reading {interval}")
            sealed = await make(interval, datetime.now(UTC))
            yield sealed
            if isinstance(sealed, Failure):
                return


def _say(sealed: Sealed) -> None:
    for name in sealed.unreadable:
        print(printable(f"{sealed.interval}: the object {name} holds no records that can be read"))
    if sealed.missing:
        print(
            f"{sealed.interval}: {sealed.missing} sealed records are missing, so that nothing was added "
            "(see audit-operator verify)"
        )
    if sealed.seal is not None:
        what = "seal" if sealed.seal.leaves.records == sealed.seal.records else "supplement, seal"
        print(f"{sealed.interval}: {sealed.records} records, {what} {sealed.seal.sequence}")


def _as_json(sealed: Sealed) -> dict[str, Any]:
    return {
        "since": moment(sealed.interval.since),
        "until": moment(sealed.interval.until),
        "seal": sealed.seal.sequence if sealed.seal else None,
        "kind": sealed.seal.kind.value if sealed.seal else None,
        "records": sealed.records,
        "missing": sealed.missing,
        "unreadable": list(sealed.unreadable),
    }


def _failure_as_json(failed: Failure | None) -> dict[str, str] | None:
    if failed is None:
        return None
    return {"reason": failed.reason.value, "message": failed.message, "mend": failed.mend}
