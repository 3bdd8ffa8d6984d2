"""`incident`: everything around an audit ID, a user, an object or a time, out of all sinks, as a bundle with hashes."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator import __version__
from audit_operator.cli.from_cluster import add_connection, read_cluster
from audit_operator.cli.named_sinks import NamedSinks, add_files, named_sinks, readable_secrets
from audit_operator.cli.sealing import duration, when
from audit_operator.cli.usage import UsageError, namespace

if TYPE_CHECKING:
    from audit_operator.sinks.store import Store

EXAMPLES = """examples:
  audit-operator incident --audit-id 6f2c... -n payments --cluster-scoped --since 2d -o case-17
  audit-operator incident --user jane --user system:serviceaccount:shop:app --since 6h -o case-18
  audit-operator incident --object payments/secrets/db --since 7d -o case-19 --sink central --sink worm
  audit-operator incident --user jane -n payments --files /mnt/audit -o case-21        no cluster is needed
  audit-operator incident -n payments --since 2026-11-28T07:00:00Z --until 2026-11-28T07:30:00Z -o case-20 -f sinks/

Asked are all sinks, or those of --sink, with their credentials, for the namespaces of -n (default: all of the cluster,
and what has no namespace); or, with --files and neither --sink nor -f, the files of that folder alone. What belongs to
an audit ID leads further, by one step and --around: to its users, also impersonated ones, its object, its credential,
its correlation ID.

The folder holds events.ndjson (each record once, with the sinks that have it and why it is there), timeline.txt for
people, questions.json (what was asked, and whether the answers are whole), and SHA256SUMS of them, for `sha256sum -c`.

Exit status: 0 if every answer is whole; 1 if not, whatever was written; 2 for wrong usage.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "incident",
        help="collect everything around an audit ID, user, object or time",
        description="Collect the records of an incident out of several sinks, in order, into a folder with hashes.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--audit-id", metavar="ID", action="append", default=[], help="of a request")
    parser.add_argument("--user", metavar="NAME", action="append", default=[], help="as the API server names them")
    parser.add_argument(
        "--object",
        metavar="[NS/]RESOURCE/NAME",
        type=_object,
        action="append",
        default=[],
        help="as in shop/secrets/db",
    )
    parser.add_argument(
        "-n", "--namespace", type=namespace, metavar="NS", action="append", default=[], help="whose records"
    )
    parser.add_argument("--cluster-scoped", action="store_true", help="records without a namespace as well as those")
    parser.add_argument("--since", metavar="WHEN", type=when, help="point in time, or an age (default: 24h)")
    parser.add_argument("--until", metavar="WHEN", type=when, help="point in time, or an age (default: now)")
    parser.add_argument(
        "--around", metavar="TIME", type=duration, default=timedelta(minutes=15), help="default: 15m before and after"
    )
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True, help="which is made")
    parser.add_argument("--sink", metavar="SINK", action="append", default=[], help="[NS/]NAME (default: all)")
    add_files(parser)
    parser.add_argument("-f", "--filename", metavar="PATH", action="append", help="sinks and Secrets in files")
    add_connection(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Collect, and write the bundle."""
    if options.output.exists():
        raise UsageError(f"{options.output} is there already: name a folder that is to be made")
    if options.files and not options.files.is_dir():
        raise UsageError(f"--files {options.files}: there is no such folder")
    now = datetime.now(UTC)
    since, until = options.since or now - timedelta(days=1), options.until or now
    if since >= until:
        raise UsageError("--since must be before --until")
    sinks = NamedSinks((), faulty=False) if _is_offline(options) else named_sinks(options, options.sink)
    return asyncio.run(_collect(options, sinks, _namespaces(options), (since, until)))


async def _collect(
    options: argparse.Namespace, found: NamedSinks, namespaces: tuple[str, ...], time: tuple[datetime, datetime]
) -> int:
    # Imported here: the clients take a quarter of a second that other commands should not pay.
    from audit_operator.cli.opened_stores import tell_of_halves  # noqa: PLC0415
    from audit_operator.incident.asking import Asking  # noqa: PLC0415
    from audit_operator.incident.bundle import Bundle, write_bundle  # noqa: PLC0415
    from audit_operator.incident.leads import Named, first_leads, further_leads  # noqa: PLC0415
    from audit_operator.incident.timeline import Timeline  # noqa: PLC0415

    named = Named(*time, tuple(options.audit_id), tuple(options.user), tuple(options.object), options.around)
    stores, unasked = await _open(options, found)
    asking = Asking(stores, namespaces, Timeline(), lambda why: print(f"{why} ...", file=sys.stderr))
    first = first_leads(named)
    await asking.follow(first)
    further, left_out = further_leads(asking.timeline.records, named, first)
    await asking.follow(further)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    bundle = Bundle(asking.timeline.entries(), tuple(asking.asked), left_out, made, __version__, unasked)
    try:
        write_bundle(options.output, bundle)
    except OSError as error:
        raise UsageError(f"cannot write {options.output}: {error.strerror}") from error
    print(f"{options.output}: {len(bundle.entries)} records of {len(stores)} sinks")
    for store in stores.values():
        tell_of_halves(store)
    if not bundle.is_whole:
        print("The bundle is not whole: timeline.txt and questions.json say what is missing.", file=sys.stderr)
    return int(not bundle.is_whole)


async def _open(options: argparse.Namespace, found: NamedSinks) -> tuple[dict[str, Store], dict[str, str]]:
    """The stores by the name of their sink, and why others cannot be asked."""
    from audit_operator.cli.opened_stores import open_all  # noqa: PLC0415 - see _collect
    from audit_operator.sinks.files import FileStore  # noqa: PLC0415

    if _is_offline(options):
        return {f"files in {options.files}": FileStore(options.files)}, {}
    async with readable_secrets(options) as secrets:
        stores, unasked = await open_all(found.sinks, secrets, options.files)
    unknown = {"(unknown)": "an object cannot be read, and may be a sink"} if found.faulty else {}
    return stores, unknown | unasked


def _is_offline(options: argparse.Namespace) -> bool:
    """Whether only files are asked, so that no cluster need be there."""
    return bool(options.files and not (options.sink or options.filename))


def _namespaces(options: argparse.Namespace) -> tuple[str, ...]:
    """Those that were named, those of objects where nothing else was, or all of the cluster; ``""`` is none."""
    if options.namespace or options.cluster_scoped:
        return tuple(sorted({*options.namespace, *([""] if options.cluster_scoped else [])}))
    if options.object and not (options.audit_id or options.user):
        return tuple(sorted({namespace for namespace, _, _ in options.object}))
    if options.filename or _is_offline(options):
        raise UsageError("say whose records, with -n, and --cluster-scoped for those without a namespace")
    return tuple(sorted({"", *(each.name for each in read_cluster(options).snapshot.namespaces)}))


def _object(text: str) -> tuple[str, str, str]:
    """``NS/RESOURCE/NAME``, or ``RESOURCE/NAME`` of the cluster. A subresource is no part of it."""
    parts = text.split("/")
    if not all(parts) or len(parts) not in (2, 3):
        message = f"{text!r} is no object; write one like payments/secrets/db, or nodes/worker-1"
        raise argparse.ArgumentTypeError(message)
    namespace, resource, name = ["", *parts] if len(parts) == 2 else parts  # noqa: PLR2004 - without a namespace
    return namespace, resource, name
