"""`sinks`: whether the stores of sinks can be reached, take records, and give them back; and what they must be told."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.cli import sink_overrides
from audit_operator.cli.from_cluster import add_connection
from audit_operator.cli.named_sinks import named_sinks, readable_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from audit_operator.controller.sink_secrets import Secrets
    from audit_operator.plan.sinks import Sink
    from audit_operator.sinks.trial import Step

EXAMPLES = """examples:
  audit-operator sinks check                                   every sink of the cluster: does it answer?
  audit-operator sinks check --write-read                      also write a record to each, and read it back
  audit-operator sinks check payments/own central              only these: an AuditSink, a ClusterAuditSink
  audit-operator sinks check -f sinks.yaml -f secrets.yaml     those in files, with the Secrets beside them
  audit-operator sinks overrides central                       what must be written into a Loki for its retention
  audit-operator sinks check --write-read -o json | jq '.[] | select(.ok | not)'

Sinks are asked from here, with the Secrets that you may read: what the operator and the shippers can reach may differ.
Success for an answer to a write is no proof, and some stores throw records away with it; --write-read proves it. What
it writes is an audit event of the user audit-operator:sinks-check, and stays.

Exit status: 0 if all went well, or could not be tried with such a store; 1 if something failed; 2 for wrong usage.
"""
OVERRIDES_EXAMPLES = """examples:
  audit-operator sinks overrides central > overrides.yaml      of the cluster's objects
  audit-operator sinks overrides payments/own -f objects/      of objects in files: sinks, policies, control planes

Exit status: 0 fine; 1 if an object cannot be used; 2 for wrong usage, or where nothing is demanded of the sink.
"""
_AT_ONCE = 8


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "sinks",
        help="ask the stores that records are shipped to",
        description="Ask the stores that records are shipped to.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="reach each sink; with --write-read, prove that it keeps a record",
        description="Reach each sink with its address, TLS settings and credentials.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument(
        "sinks",
        metavar="SINK",
        nargs="*",
        help="NAMESPACE/NAME of an AuditSink, NAME of a ClusterAuditSink (default: all)",
    )
    check.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        action="append",
        help="file, folder, or - for standard input, with sinks and Secrets (default: those of the cluster)",
    )
    check.add_argument(
        "--write-read", action="store_true", help="write a marked record, and read it back by its audit ID"
    )
    check.add_argument(
        "--timeout", type=float, default=30.0, metavar="SECONDS", help="until a record must be there (default: 30)"
    )
    check.add_argument("-o", "--output", choices=["table", "json"], default="table", help="default: table")
    add_connection(check)
    check.set_defaults(run=run)
    overrides = actions.add_parser(
        "overrides",
        help="print what must be written into a Loki's runtime overrides, by whoever runs it",
        description="Print what must be written into the runtime overrides of a Loki, so that it keeps and deletes by "
        "itself as policies ask: labels of streams, and periods. What is shorter than before counts there at once: "
        "compare with what is announced in the status of the sink.",
        epilog=OVERRIDES_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    overrides.add_argument("sink", metavar="SINK", help="NAMESPACE/NAME of an AuditSink, NAME of a ClusterAuditSink")
    overrides.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        action="append",
        help="file, folder, or - for standard input, with all objects (default: those of the cluster)",
    )
    add_connection(overrides)
    overrides.set_defaults(run=sink_overrides.run)


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one sink."""

    sink: Sink
    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not any(each.failed for each in self.steps)


def run(options: argparse.Namespace) -> int:
    """Try, and say what came of it."""
    named = named_sinks(options, options.sinks)
    tried = asyncio.run(_try_all(named.sinks, options))
    print(json.dumps([_as_json(each) for each in tried], indent=2) if options.output == "json" else _table(tried))
    return int(named.faulty or not all(each.ok for each in tried))


async def _try_all(sinks: Iterable[Sink], options: argparse.Namespace) -> list[Tried]:
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(sink: Sink, secrets: Secrets) -> Tried:
        async with places:
            return await _try(sink, secrets, options)

    async with readable_secrets(options) as secrets:
        return list(await asyncio.gather(*(one(each, secrets) for each in sinks)))


async def _try(sink: Sink, secrets: Secrets, options: argparse.Namespace) -> Tried:
    # Imported here: the clients take a quarter of a second that other commands should not pay.
    from audit_operator.controller.sink_access import Stores  # noqa: PLC0415
    from audit_operator.sinks.network import Network  # noqa: PLC0415
    from audit_operator.sinks.store import Failure  # noqa: PLC0415
    from audit_operator.sinks.trial import Step, try_store  # noqa: PLC0415

    opened = await Stores(secrets, Network(), Network()).open(sink)
    if isinstance(opened, Failure):
        return Tried(sink, (Step("reached", 0.0, opened),))
    steps = await try_store(opened.store, sink.metadata.namespace, write=options.write_read, patience=options.timeout)
    return Tried(sink, steps)


def _as_json(tried: Tried) -> dict[str, Any]:
    return {
        "sink": str(tried.sink.ref),
        "type": tried.sink.spec.type.value,
        "ok": tried.ok,
        "steps": [
            {
                "step": each.name,
                "result": _result(each),
                "seconds": round(each.seconds, 3),
                **({"message": _said(each)} if each.trouble else {}),
            }
            for each in tried.steps
        ],
    }


def _table(tried: Sequence[Tried]) -> str:
    rows = [("SINK", "TYPE", "REACHED", "WRITTEN", "READ BACK", "TOOK", "MESSAGE")]
    for each in tried:
        results = {step.name: _result(step) for step in each.steps}
        trouble = next((_said(step) for step in each.steps if step.trouble), "")
        took = f"{sum(step.seconds for step in each.steps if step.name != 'written'):.2f} s"
        reached, written, read = (results.get(name, "-") for name in ("reached", "written", "read back"))
        rows.append((str(each.sink.ref), each.sink.spec.type.value, reached, written, read, took, trouble))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _result(step: Step) -> str:
    return "yes" if step.trouble is None else "no" if step.failed else "unsupported"


def _said(step: Step) -> str:
    mend, trouble = getattr(step.trouble, "mend", ""), step.trouble
    said = str(getattr(trouble, "message", "") or getattr(trouble, "reason", ""))
    return f"{said} ({mend})" if mend else said
