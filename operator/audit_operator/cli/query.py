"""`query`: read records, of some namespaces and some time."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level, Stage
from audit_operator.cli.from_cluster import add_connection
from audit_operator.cli.named_sinks import add_files, name_of, named_sinks
from audit_operator.cli.records import OUTPUTS, Printer, shown
from audit_operator.cli.usage import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from audit_operator.plan.sinks import Sink
    from audit_operator.reading.answer import Piece

    Parameters = dict[str, str]
    Source = Callable[[Parameters], AsyncGenerator[Piece, None]]

EXAMPLES = """examples:
  audit-operator query -n payments --since 1h                          the last hour, newest first
  audit-operator query -n payments --resource secrets --verb delete    who deleted Secrets?
  audit-operator query -n payments --user jane --code 403 -o json      what was jane refused?
  audit-operator query -n payments --resource pods/exec --since 7d --order oldest
  audit-operator query -n payments,shop --contains 10.1.2.3 -o ndjson | jq -r 'select(.text) | .text | fromjson'
  audit-operator query --audit-id 6f2c... -n payments --since 30d
  audit-operator query -n payments --follow
  audit-operator query --cluster-scoped --resource clusterrolebindings
  audit-operator query -n payments --sink central                      if the cluster has several sinks
  audit-operator query -n payments --all-sinks --since 30d             each record once, wherever it is
  audit-operator query -n payments -f sink.yaml -f secret.yaml         a sink in a file, with its Secret
  audit-operator query -n payments --server https://audit-reader.example.com --ca ca.crt
  audit-operator query -n payments --files /mnt/audit --since 30d      the volume of a File sink, mounted or copied

Asked is the store of a sink, with the sink's credentials: who may read those reads everything in there, and -n only
chooses. Or, with --server, a reader, which shows those who may `get auditpolicies/records` in a namespace the records
of it (docs/reading.md), with the token of the kubeconfig.
Values are compared as they are, without patterns. Times are a point in time, or an age such as 15m, 6h, 7d.

Exit status: 0 if the answer is whole; 1 if it is not, whatever was printed before; 2 for wrong usage.
"""
_POLL, _LATE = 2.0, timedelta(minutes=2)
_REMEMBERED = 20_000
_FOLLOW_LIMIT, _MOST_OF_A_MOMENT = 1000, 10_000


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "query",
        help="read records",
        description="Read the records of namespaces, newest first.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = add_what(parser)
    what.add_argument("--until", metavar="WHEN", help="default: now")
    what.add_argument("--limit", metavar="N", help="records at most (default: 100)")
    what.add_argument("--order", choices=["newest", "oldest"], help="which come first (default: newest)")
    add_source(parser)
    parser.add_argument("-o", "--output", choices=OUTPUTS, default="table", help="default: table")
    parser.add_argument("--follow", action="store_true", help="go on with what comes, until interrupted; oldest first")
    parser.set_defaults(run=run)


def add_what(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options that say which records, from when on; returns their group."""
    what = parser.add_argument_group("what")
    what.add_argument("-n", "--namespace", metavar="NAMES", action="append", help="namespaces, with commas between")
    what.add_argument(
        "--cluster-scoped", dest="clusterScoped", action="store_const", const="true", help="records without a namespace"
    )
    what.add_argument("--since", metavar="WHEN", help="point in time, or an age (default: 1h; of what is to come: 10s)")
    what.add_argument("--user", metavar="NAME", help="as the API server names them")
    what.add_argument("--verb", metavar="VERB", help="get, create, delete, ...")
    what.add_argument("--group", metavar="GROUP", help="API group of the resource")
    what.add_argument("--resource", metavar="RESOURCE", help="plural, for example secrets, or pods/exec")
    what.add_argument("--name", metavar="NAME", help="of the object")
    what.add_argument("--level", choices=[each.value for each in Level if each is not Level.NONE], help="recorded at")
    what.add_argument("--stage", choices=[each.value for each in Stage], help="of the request")
    what.add_argument("--code", metavar="NNN", help="HTTP status of the response")
    what.add_argument("--audit-id", metavar="ID", dest="auditID", help="of the request")
    what.add_argument("--contains", metavar="TEXT", help="what the event must contain, as it is written in JSON")
    return what


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where they are read from."""
    source = parser.add_argument_group("where from")
    source.add_argument("--server", metavar="URL", help="a reader, https://HOST:PORT, instead of a sink")
    source.add_argument("--ca", metavar="FILE", type=Path, help="authority of its certificate, in PEM")
    source.add_argument("--token-file", metavar="FILE", type=Path, help="with a token (default: the kubeconfig's)")
    sinks = source.add_mutually_exclusive_group()
    sinks.add_argument(
        "--sink",
        metavar="SINK",
        action="append",
        help="NAMESPACE/NAME of an AuditSink, NAME of a ClusterAuditSink; of several, each record is shown once",
    )
    sinks.add_argument("--all-sinks", action="store_true", help="every sink of the cluster, or of -f")
    add_files(source)
    source.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        action="append",
        help="file, folder, or - for standard input, with the sink and its Secrets (default: those of the cluster)",
    )
    add_connection(parser)


_PARAMETERS = (
    "clusterScoped", "since", "until", "user", "verb", "group", "resource", "name", "level", "stage", "code", "auditID",
    "contains", "limit", "order",
)  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Ask, and print the answer."""
    asked = {name: value for name in _PARAMETERS if (value := getattr(options, name)) is not None}
    if options.namespace:
        asked["namespace"] = ",".join(options.namespace)
    if options.server and (options.sink or options.all_sinks or options.filename):
        raise UsageError("--server asks a reader, --sink and -f a store: give one of them")
    if options.server and options.files:
        raise UsageError("--server asks a reader, --files reads a folder: give one of them")
    alone = options.files and not (options.sink or options.all_sinks or options.filename)
    sinks = () if options.server or alone else _sinks(options)
    try:
        return asyncio.run(_run(asked, sinks, options))
    except KeyboardInterrupt:
        if not options.follow:
            raise
        return 0


def _sinks(options: argparse.Namespace) -> tuple[Sink, ...]:
    if options.ca or options.token_file:
        raise UsageError("--ca and --token-file belong to --server")
    found = named_sinks(options, options.sink or [])
    sinks = found.sinks
    if options.all_sinks and found.faulty:
        raise UsageError("an object cannot be read, and may be a sink: name the sinks with --sink")
    if len(sinks) > 1 and not (options.sink or options.all_sinks):
        names = ", ".join(sorted(map(name_of, sinks)))
        raise UsageError(f"there are several sinks; choose one with --sink, or take --all-sinks: {names}")
    return sinks


async def _run(asked: Parameters, sinks: tuple[Sink, ...], options: argparse.Namespace) -> int:
    # Imported here: the clients take a quarter of a second that other commands should not pay.
    from audit_operator.cli.query_source import files_in, reader, stores_of  # noqa: PLC0415

    unnamed = files_in(options.files) if options.files else reader(options)
    async with stores_of(sinks, options) if sinks else unnamed as source:
        printer = Printer(options.output)
        return await (_follow if options.follow else _print)(source, asked, printer)


async def _print(source: Source, asked: Parameters, printer: Printer) -> int:
    async with aclosing(source(asked)) as pieces:
        async for piece in pieces:
            if "error" in piece:
                printer.end(piece)
                print(f"The answer is not whole: {piece['error']['message']}", file=sys.stderr)
                return 1
            if "end" in piece:
                printer.end(piece)
                if not piece["end"]["complete"]:
                    said = "There are more: ask for less time, or for more with --limit."
                    print(said, file=sys.stderr)
                for namespace, moment in piece["end"].get("from", {}).items():
                    said = f"{namespace}: only what is from {moment} or later; the namespace was made then"
                    print(shown(said), file=sys.stderr)
                return 0
            printer.record(piece)
    printer.end({})
    print("The answer is not whole: it ends without having said so.", file=sys.stderr)
    return 1


@dataclass(slots=True)
class _Followed:
    """What was shown lately: windows overlap, since records come late."""

    shown: set[tuple[str | int, ...]] = field(default_factory=set)
    order: deque[tuple[str | int, ...]] = field(default_factory=deque)

    def is_new(self, record: Piece) -> bool:
        # What tells records apart for a search, too: two containers may write the same line at the same time.
        whose = (record["attributes"].get(name, "") for name in ("cluster", "namespace", "stream"))
        key = (*whose, record["auditID"], record["stage"], record["time"], hash(record["text"]))
        if key in self.shown:
            return False
        self.shown.add(key)
        self.order.append(key)
        if len(self.order) > _REMEMBERED:
            self.shown.discard(self.order.popleft())
        return True


async def _follow(source: Source, asked: Parameters, printer: Printer) -> int:
    if "until" in asked or "order" in asked:
        raise UsageError("--follow goes on from --since, oldest first: leave out --until and --order")
    followed, since, limit = _Followed(), asked.get("since", "10s"), _FOLLOW_LIMIT
    while True:
        until = datetime.now(UTC)
        window = {**asked, "since": since, "until": _text(until), "order": "oldest", "limit": str(limit)}
        last, complete = "", False
        async with aclosing(source(window)) as pieces:
            async for piece in pieces:
                if "error" in piece:
                    print(f"The answer is not whole: {piece['error']['message']}", file=sys.stderr)
                    return 1
                if "end" in piece:
                    complete = piece["end"]["complete"]
                else:
                    last = piece["time"]
                    if followed.is_new(piece):
                        printer.record(piece)
        if complete:
            since, limit = _text(until - _LATE), _FOLLOW_LIMIT
            await asyncio.sleep(_POLL)
        elif last not in ("", since):
            # There was more than one answer holds: the next begins where it ended.
            since, limit = last, _FOLLOW_LIMIT
        elif limit < _MOST_OF_A_MOMENT:
            limit = _MOST_OF_A_MOMENT
        else:
            said = f"The answer is not whole: there are more than {limit} records of one moment"
            print(said, file=sys.stderr)
            return 1


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
