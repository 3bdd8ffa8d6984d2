"""`incident`: everything around an audit ID, a user, an object or a time, out of all sinks, as a bundle with hashes."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator import __version__
from audit_operator.cli.from_cluster import add_connection, read_cluster
from audit_operator.cli.named_sinks import named_sinks, readable_secrets
from audit_operator.cli.sealing import duration, when
from audit_operator.cli.usage import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.incident.bundle import Asked
    from audit_operator.incident.leads import Lead
    from audit_operator.incident.timeline import Timeline
    from audit_operator.plan.sinks import Sink
    from audit_operator.sinks.store import Store

EXAMPLES = """examples:
  audit-operator incident --audit-id 6f2c... -n payments --cluster-scoped --since 2d -o case-17
  audit-operator incident --user jane --user system:serviceaccount:shop:app --since 6h -o case-18
  audit-operator incident --object payments/secrets/db --since 7d -o case-19 --sink central --sink worm
  audit-operator incident -n payments --since 2026-11-28T07:00:00Z --until 2026-11-28T07:30:00Z -o case-20 -f sinks/

Asked are all sinks, or those of --sink, with their credentials, for the namespaces of -n (default: all of the cluster,
and what has no namespace). What belongs to an audit ID leads further, by one step and --around: to its users, also
impersonated ones, its object, its credential, its correlation ID.

The folder holds events.ndjson (each record once, with the sinks that have it and why it is there), timeline.txt for
people, questions.json (what was asked, and whether the answers are whole), and SHA256SUMS of them, for `sha256sum -c`.

Exit status: 0 if every answer is whole; 1 if not, whatever was written; 2 for wrong usage.
"""
_PAGE, _MOST = 5000, 50_000
_NAMESPACES_AT_ONCE = 32


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
    parser.add_argument("-n", "--namespace", metavar="NS", action="append", default=[], help="whose records")
    parser.add_argument("--cluster-scoped", action="store_true", help="records without a namespace as well as those")
    parser.add_argument("--since", metavar="WHEN", type=when, help="point in time, or an age (default: 24h)")
    parser.add_argument("--until", metavar="WHEN", type=when, help="point in time, or an age (default: now)")
    parser.add_argument(
        "--around", metavar="TIME", type=duration, default=timedelta(minutes=15), help="default: 15m before and after"
    )
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True, help="which is made")
    parser.add_argument("--sink", metavar="SINK", action="append", default=[], help="[NS/]NAME (default: all)")
    parser.add_argument("-f", "--filename", metavar="PATH", action="append", help="sinks and Secrets in files")
    add_connection(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Collect, and write the bundle."""
    if options.output.exists():
        raise UsageError(f"{options.output} is there already: name a folder that is to be made")
    now = datetime.now(UTC)
    since, until = options.since or now - timedelta(days=1), options.until or now
    if since >= until:
        raise UsageError("--since must be before --until")
    sinks = named_sinks(options, options.sink).sinks
    return asyncio.run(_collect(options, sinks, _namespaces(options), (since, until)))


@dataclass(slots=True)
class _Collection:
    """What is found on the way."""

    stores: dict[str, Store]
    namespaces: tuple[str, ...]
    timeline: Timeline
    asked: list[Asked] = field(default_factory=list)

    async def follow(self, leads: Iterable[Lead]) -> None:
        """Ask every store for each of them."""
        for lead in leads:
            print(f"{lead.why} ...", file=sys.stderr)
            for sink in self.stores:
                await self._ask(sink, lead)

    async def _ask(self, sink: str, lead: Lead) -> None:
        from audit_operator.incident.bundle import Asked  # noqa: PLC0415 - see _collect

        names = self.namespaces if lead.namespace is None else (lead.namespace,)
        read, problem = 0, ""
        for start in range(0, len(names), _NAMESPACES_AT_ONCE):
            number, problem = await self._page(sink, lead, names[start : start + _NAMESPACES_AT_ONCE])
            read += number
            if problem:
                break
        self.asked.append(Asked(sink, lead, names, read, problem))

    async def _page(self, sink: str, lead: Lead, names: tuple[str, ...]) -> tuple[int, str]:
        """Page after page, oldest first; the number of records, and why they are not all, if so."""
        from audit_operator.sinks.search import End, search  # noqa: PLC0415 - see _collect
        from audit_operator.sinks.selection import Order, Scope, Selection  # noqa: PLC0415
        from audit_operator.sinks.store import Record, Unsupported  # noqa: PLC0415

        scopes = tuple(map(Scope, names))
        since, read, limit = lead.since, 0, _PAGE
        while True:
            selection = Selection(
                scopes, since, lead.until, equal=lead.equal, text=lead.text, limit=limit, order=Order.OLDEST
            )
            last = since
            async with aclosing(search(self.stores[sink], selection)) as found:
                async for each in found:
                    match each:
                        case Record():
                            self.timeline.add(each, sink, lead.why)
                            read, last = read + 1, each.time
                        case End(complete=True):
                            return read, ""
                        case End():
                            pass
                        case Unsupported(reason):
                            return read, f"cannot be asked: {reason}"
                        case failed:
                            return read, f"{failed.message} ({failed.mend})"
            if read >= _MOST:
                return read, f"there are more than {_MOST:,} records"
            # Those of the last moment come again, and are known by then.
            since, limit = last, limit if last > since else limit * 2


async def _collect(
    options: argparse.Namespace, sinks: tuple[Sink, ...], namespaces: tuple[str, ...], time: tuple[datetime, datetime]
) -> int:
    # Imported here: the clients take a quarter of a second that other commands should not pay.
    from audit_operator.cli.opened_stores import open_stores  # noqa: PLC0415
    from audit_operator.incident.bundle import Bundle, write_bundle  # noqa: PLC0415
    from audit_operator.incident.leads import Named, first_leads, further_leads  # noqa: PLC0415
    from audit_operator.incident.timeline import Timeline  # noqa: PLC0415

    named = Named(*time, tuple(options.audit_id), tuple(options.user), tuple(options.object), options.around)
    names = ["/".join(filter(None, (each.ref.namespace, each.ref.name))) for each in sinks]
    async with readable_secrets(options) as secrets:
        stores = await open_stores(sinks, secrets)
    collection = _Collection(dict(zip(names, stores, strict=True)), namespaces, Timeline())
    first = first_leads(named)
    await collection.follow(first)
    further, left_out = further_leads(collection.timeline.records, named, first)
    await collection.follow(further)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    bundle = Bundle(collection.timeline.entries(), tuple(collection.asked), left_out, made, __version__)
    try:
        write_bundle(options.output, bundle)
    except OSError as error:
        raise UsageError(f"cannot write {options.output}: {error.strerror}") from error
    print(f"{options.output}: {len(bundle.entries)} records of {len(sinks)} sinks")
    if not bundle.is_whole:
        print("The bundle is not whole: timeline.txt and questions.json say what is missing.", file=sys.stderr)
    return int(not bundle.is_whole)


def _namespaces(options: argparse.Namespace) -> tuple[str, ...]:
    """Those that were named, those of objects where nothing else was, or all of the cluster; ``""`` is none."""
    if options.namespace or options.cluster_scoped:
        return tuple(sorted({*options.namespace, *([""] if options.cluster_scoped else [])}))
    if options.object and not (options.audit_id or options.user):
        return tuple(sorted({namespace for namespace, _, _ in options.object}))
    if options.filename:
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
