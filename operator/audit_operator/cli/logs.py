"""`logs`: whether an application's audit log keeps to the standard, before a sidecar says so of every line."""

from __future__ import annotations

import argparse
import gzip
import sys
import time
import zlib
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from audit_operator.api.findings import Severity
from audit_operator.cli.inputs import STDIN, read_facts
from audit_operator.cli.usage import UsageError, as_line, namespace
from audit_operator.plan.application_logs import longest_line
from audit_operator.plan.sinks import Sinks
from audit_operator.shipping.application.schema import line_schema
from audit_operator.shipping.application.standard import WHITE_SPACE, Reason, Standard, StandardField

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.plan.snapshot import Snapshot

EXAMPLES = """examples:
  audit-operator logs check app.log                                    fields by the standard's own names
  audit-operator logs check --policy policy.yaml app.log app.log.1.gz
  audit-operator logs check --policy policies.yaml -n shop --name orders app.log
  kubectl exec deploy/orders -- tail -n 500 audit.log | audit-operator logs check --policy policy.yaml -
  audit-operator logs schema --policy policy.yaml > audit-log.schema.json

docs/application-logs.md has the standard. The policy's fields and time format count, and what its sinks can take, where
they stand in the same file.
"""
_GZIP = b"\x1f\x8b"
_OF_FIELDS = {Reason(f"no {name}"): name for name in StandardField}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "logs",
        help="check an application's audit log against the standard",
        description="Check audit logs of applications as the sidecar does, or print the standard as JSON Schema.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="say of each line which rule it breaks",
        description="Say of each line which rules of the standard it breaks; exit with 1 if one does.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("files", metavar="LOGFILE", nargs="+", help="log file, also with gzip; - for standard input")
    _add_policy(check)
    check.set_defaults(run=run)
    schema = actions.add_parser(
        "schema",
        help="print the JSON Schema of a line",
        description="Print the JSON Schema of a line, for the tests of an application.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_policy(schema)
    schema.set_defaults(run=run_schema)


def _add_policy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--policy", metavar="FILE", help="file or folder with the AuditPolicy (default: plain standard)"
    )
    parser.add_argument(
        "-n", "--namespace", type=namespace, metavar="NS", help="namespace of the AuditPolicy, where there are several"
    )
    parser.add_argument("--name", help="name of the AuditPolicy, where there are several")


def run(options: argparse.Namespace) -> int:
    """Check and say."""
    standard, now = _standard(options), time.time()
    lines, bad, broken = 0, 0, Counter[Reason]()
    for place, line in _lines(options.files):
        lines += 1
        breaches = standard.breaches(line, now)
        bad += bool(breaches)
        broken.update(breaches)
        for reason in breaches:
            print(f"{place}: {_said(reason, standard)}")
    print(f"{lines} lines; {lines - bad} keep to the standard, {bad} would go to quarantine")
    for reason, count in broken.most_common():
        print(f"  {count:7}  {reason}")
    return int(bad > 0)


def run_schema(options: argparse.Namespace) -> int:
    """Print the schema."""
    sys.stdout.write(line_schema(_standard(options)))
    return 0


def _said(reason: Reason, standard: Standard) -> str:
    name = _OF_FIELDS.get(reason)
    return f"{reason} (looked for {standard.path(name)})" if name is not None else str(reason)


def _standard(options: argparse.Namespace) -> Standard:
    if options.policy is None:
        return Standard()
    facts = read_facts([options.policy])
    for finding in facts.findings:
        if finding.severity is Severity.ERROR:
            raise UsageError(as_line(finding))
    policy = _policy(facts.snapshot, options)
    logs = policy.spec.application_logs
    if logs is None:
        raise UsageError(f"{policy.ref} collects no application logs (see spec.applicationLogs)")
    sinks = Sinks.of(facts.snapshot)
    usable, _ = sinks.of_policy(policy)
    return Standard(logs.fields, logs.time_format, longest_line(sinks.existing[ref] for ref in usable))


def _policy(snapshot: Snapshot, options: argparse.Namespace) -> AuditPolicy:
    found = [
        each
        for each in snapshot.audit_policies
        if options.namespace in {None, each.metadata.namespace} and options.name in {None, each.metadata.name}
    ]
    if len(found) > 1:
        found = [each for each in found if each.spec.application_logs is not None] or found
    if len(found) != 1:
        there = ", ".join(str(each.ref) for each in found) or "none"
        raise UsageError(f"--policy must lead to one AuditPolicy; choose with -n and --name (found: {there})")
    return found[0]


def _lines(files: list[str]) -> Iterator[tuple[str, str]]:
    """Lines as the collector reads them, with their place; one of white space alone is none."""
    for file in files:
        name = "<stdin>" if file == STDIN else file
        try:
            with _opened(file) as content:
                for number, line in enumerate(content, 1):
                    text = line.decode("utf-8", "replace")
                    if text.strip(WHITE_SPACE):
                        yield f"{name}:{number}", text
        except (OSError, EOFError, zlib.error) as error:
            raise UsageError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from error


@contextmanager
def _opened(file: str) -> Iterator[Iterable[bytes]]:
    if file == STDIN:
        yield sys.stdin.buffer
        return
    with open(file, "rb") as plain:  # noqa: PTH123 - a name from the command line
        is_compressed = plain.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
        if is_compressed:
            with gzip.open(plain) as content:
                yield content
        else:
            yield plain
