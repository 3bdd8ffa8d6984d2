"""`replay`: what a policy would have recorded of yesterday's log, and what would be missing."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from audit_operator.cli.asked_policy import asked_policy, policy_of
from audit_operator.cli.named_sinks import add_files, named_sinks, readable_secrets
from audit_operator.cli.offline import add_compilation, compile_objects
from audit_operator.cli.replay_output import Replay, as_json, as_text
from audit_operator.cli.replay_prices import add_prices, prices_in, reckoned, ships_less
from audit_operator.cli.sealing import when
from audit_operator.cli.usage import UsageError, add_version, namespace
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.integrity.interval import Interval
from audit_operator.replay.files import LogUnreadableError, Progress, count_pieces, log_pieces
from audit_operator.replay.noise import noise_rules
from audit_operator.replay.outcome import as_recorded, replay
from audit_operator.replay.vocabulary import vocabulary_of

if TYPE_CHECKING:
    from audit_operator.cli.asked_policy import AskedPolicy
    from audit_operator.replay.cells import Cells
    from audit_operator.replay.vocabulary import Vocabulary
    from audit_operator.sinks.scanning import Scanner

EXAMPLES = """examples:
  audit-operator replay /var/log/kubernetes/audit --policy new.yaml
  audit-operator replay audit.log audit-*.log.gz -f policies/ --suggest        what no critical action needs
  audit-operator replay audit.log --from-policy old.yaml --policy new.yaml     one policy against another
  audit-operator replay audit.log --policy new.yaml -o json --fail-on missed
  audit-operator replay audit.log -f policies/ --price central=0.50/GB --price worm=0.02/GB-month --currency EUR
  zcat audit.log.gz | audit-operator replay - --policy new.yaml
  audit-operator replay --sink central -n payments --since 7d --policy new.yaml
  audit-operator replay --files /mnt/audit --since 7d --policy new.yaml        the volume of a File sink

Files with an audit.k8s.io/v1 event on each line, compressed by gzip or not; folders are searched for them.

A log has what was recorded, and nothing else: what a new policy would record besides cannot be seen in it. Each
event is one stage of a request. Sizes are those of the lines, less the bodies that a level leaves out. Events that
were delivered twice are counted twice in files, and once in a sink. A sink has what shippers have sent: less than API
servers recorded where policies ask for less, and pseudonyms in place of names.

Exit status: 0; 1 with --fail-on if something is missed, or if lines, files or objects could not be read; 2 for wrong
usage.
"""
_TELL_EVERY = 2.0


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "replay",
        help="say what a policy would have recorded of a log",
        description="Ask a policy about the events of a log: how many it would have recorded, how large, by which "
        "rule, and what would be missing.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("logs", metavar="LOG", nargs="*", help="file or folder; - for standard input")
    _add_sink(parser)
    parser.add_argument("--policy", metavar="FILE", help="the audit.k8s.io/v1 Policy to ask")
    parser.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        action="append",
        help="our objects: what they compile to is asked, unless there is --policy, and sinks are taken from there "
        "(default: the cluster's)",
    )
    before = parser.add_mutually_exclusive_group()
    before.add_argument("--from-policy", metavar="FILE", help="compare with this policy (default: the log as it is)")
    before.add_argument("--from", metavar="PATH", action="append", dest="before", help="compare with these objects")
    parser.add_argument("--suggest", action="store_true", help="look for noise that no critical action needs")
    parser.add_argument("--top", metavar="N", type=_positive, default=10, help="lines of each list (default: 10)")
    parser.add_argument(
        "--jobs", metavar="N", type=_positive, default=_processors(), help="processes that read (default: all CPUs)"
    )
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text", help="default: text")
    parser.add_argument(
        "--fail-on", choices=["missed", "never"], default="never", help="exit with 1 if less is recorded than before"
    )
    add_prices(parser)
    add_compilation(parser)
    add_version(parser)
    parser.set_defaults(run=run)


def _add_sink(parser: argparse.ArgumentParser) -> None:
    sink = parser.add_argument_group("a sink in place of files")
    sink.add_argument("--sink", metavar="SINK", help="[NS/]NAME: what its store has")
    add_files(sink)
    sink.add_argument(
        "-n", "--namespace", type=namespace, metavar="NS", action="append", default=[], help="whose records"
    )
    sink.add_argument("--cluster", metavar="NAME", default="", help="only records of this cluster (default: all)")
    sink.add_argument("--since", metavar="WHEN", type=when, help="point in time, or an age (default: 24h)")
    sink.add_argument("--until", metavar="WHEN", type=when, help="point in time, or an age (default: now)")


def run(options: argparse.Namespace) -> int:
    """Read, ask, and print."""
    of_store = bool(options.sink or options.files)
    if bool(options.logs) is of_store:
        raise UsageError("name files, or else a sink with --sink, or its folder with --files")
    if not of_store:
        _expect_no_selection(options)
    options.span = _interval(options) if of_store else None
    prices = prices_in(options)
    # Once: objects may come from standard input.
    meant = not options.policy or (prices and options.filename)
    objects = compile_objects(options.filename, options) if meant else None
    if objects and not options.policy:
        policy = policy_of(objects)
    else:
        policy = asked_policy(options.policy, None, options).policy
    compared = _before(options)
    before = compared.policy if compared else None
    unreadable = any(each.unreadable for each in (objects, compared) if each)
    vocabulary = vocabulary_of([policy, *([before] if before else [])])
    watcher = _Watcher()
    cells, broken = (_of_sink if of_store else _of_files)(options, vocabulary, watcher)
    noise = None
    if options.suggest:
        noise = noise_rules(cells, policy, builtin_catalogue(), most=options.top, tell=watcher.tell_try)
    earlier = replay(cells, before) if before else as_recorded(cells)
    outcome = replay(cells, policy)
    cost = reckoned(options, prices, objects, outcome, cells) if prices else None
    if cost and objects and ships_less(objects):
        print(
            "costs are those of what API servers record; shippers send less of it (--precision Exact)", file=sys.stderr
        )
    result = Replay(cells, policy, outcome, earlier, before is not None, noise, broken, cost, options.currency)
    if options.output == "json":
        print(json.dumps(as_json(result, options.top), indent=2, ensure_ascii=False))
    else:
        sys.stdout.write(as_text(result, options.top))
    return 1 if unreadable else _status(result, cells, options.fail_on)


def _expect_no_selection(options: argparse.Namespace) -> None:
    """Raises UsageError: part of a log is asked for. All of it would be counted, and taken for that part."""
    asked = {
        "--namespace": options.namespace,
        "--cluster": options.cluster,
        "--since": options.since,
        "--until": options.until,
    }
    if given := [name for name, value in asked.items() if value]:
        raise UsageError(f"{', '.join(given)}: only for --sink and --files; of a log all is counted")


def _of_files(options: argparse.Namespace, vocabulary: Vocabulary, watcher: _Watcher) -> tuple[Cells, tuple[str, ...]]:
    try:
        return count_pieces(log_pieces(options.logs), vocabulary, jobs=options.jobs, tell=watcher.tell)
    except LogUnreadableError as error:
        raise UsageError(str(error)) from error


def _of_sink(options: argparse.Namespace, vocabulary: Vocabulary, watcher: _Watcher) -> tuple[Cells, tuple[str, ...]]:
    return asyncio.run(_read_sink(options, options.span, vocabulary, watcher))


def _interval(options: argparse.Namespace) -> Interval:
    now = datetime.now(UTC)
    span = Interval(options.since or now - timedelta(days=1), options.until or now)
    if span.since >= span.until:
        raise UsageError("--since must be before --until")
    return span


async def _read_sink(
    options: argparse.Namespace, span: Interval, vocabulary: Vocabulary, watcher: _Watcher
) -> tuple[Cells, tuple[str, ...]]:
    # Imported here: the clients take a quarter of a second that other commands should not pay.
    from audit_operator.cli.replay_sinks import count_records  # noqa: PLC0415
    from audit_operator.sinks.file_scanner import FileScanner  # noqa: PLC0415
    from audit_operator.sinks.scanning import Stream  # noqa: PLC0415

    streams = [Stream(options.cluster, each) for each in options.namespace or [""]]
    scanner = await _scanner(options)
    counts = await count_records(scanner, span, streams, vocabulary, watcher.say)
    for number, what in (
        (
            len(scanner.unended) if isinstance(scanner, FileScanner) else 0,
            "files end in half a line: it is being written, or was cut off",
        ),
        (counts.others, "records are of applications, and counted nowhere"),
        (counts.pseudonyms, "events have pseudonyms of their callers, which no users of a policy name"),
    ):
        if number:
            print(f"{number:,} {what}", file=sys.stderr)
    return counts.cells, tuple(counts.broken)


async def _scanner(options: argparse.Namespace) -> Scanner:
    """What reads the sink, or the folder of one."""
    from audit_operator.cli.opened_stores import open_stores  # noqa: PLC0415 - see _read_sink
    from audit_operator.cli.replay_sinks import scanner_or_usage_error  # noqa: PLC0415
    from audit_operator.sinks.file_scanner import FileScanner  # noqa: PLC0415
    from audit_operator.sinks.files import FileStore  # noqa: PLC0415

    if not options.sink:
        return FileScanner(FileStore(options.files))
    [sink] = named_sinks(options, [options.sink]).sinks
    async with readable_secrets(options) as secrets:
        [store] = await open_stores([sink], secrets, options.files)
    return scanner_or_usage_error(sink, store)


def _status(result: Replay, cells: Cells, fail_on: str) -> int:
    return int(bool(cells.unreadable or result.broken or (fail_on == "missed" and result.losses)))


def _before(options: argparse.Namespace) -> AskedPolicy | None:
    asked = options.from_policy or options.before
    return asked_policy(options.from_policy, options.before, options) if asked else None


@dataclass(slots=True)
class _Watcher:
    """Says how far it is, to somebody who watches."""

    told: float = 0.0

    def tell(self, progress: Progress) -> None:
        """Of reading, every few seconds."""
        share = progress.done / progress.size if progress.size else 1.0
        self.say(f"{share:4.0%} of {progress.size / 2**20:,.0f} MiB, {progress.events:,} events")

    def tell_try(self, number: int) -> None:
        """Of trying rules."""
        self.say(f"rule {number} is tried")

    def say(self, text: str) -> None:
        """Anything, unless something was said just now."""
        now = time.monotonic()
        if sys.stderr.isatty() and now - self.told >= _TELL_EVERY:
            self.told = now
            print(text, file=sys.stderr)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        message = f"{text!r} is no number of at least 1"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
