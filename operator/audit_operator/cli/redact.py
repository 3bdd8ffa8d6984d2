"""`redact`: what a redaction does to audit events, before anybody relies on it."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.cli.inputs import read_files
from audit_operator.cli.usage import UsageError
from audit_operator.shipping.redaction.demand import RedactionDemand
from audit_operator.shipping.redaction.interpreter import Removal, apply, text_of
from audit_operator.shipping.redaction.own_pattern import OwnPattern, Refused
from audit_operator.shipping.redaction.pseudonyms import PseudonymKey

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = """examples:
  audit-operator redact audit.log > redacted.log
  audit-operator redact audit.log --test                           what is taken out, where, how often
  audit-operator redact audit.log --test --profile Secrets --profile PII
  audit-operator redact audit.log --pattern 'order=ACME-[0-9]{4,8}' --pseudonymize Username
  kubectl exec ... -- cat audit.log | audit-operator redact -

A line is one audit.k8s.io/v1 event as JSON. docs/redaction.md says what each profile takes out, and what it does not.
"""
DEFAULT = RedactionDemand()
KEY = PseudonymKey.of("not the key of your shippers")
"""Pseudonyms made here are of one shape with those of the shippers, and equal to none of them."""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "redact",
        help="take secrets out of audit events, or say which would be",
        description="Do to audit events what the shippers do: take out secrets, by structure and by pattern.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "files", metavar="FILE", nargs="+", help="file with an event on each line; - for standard input"
    )
    parser.add_argument(
        "--profile",
        action="append",
        choices=[*map(str, RedactionProfile), "none"],
        help="default: Secrets and Tokens; none for what is always taken out",
    )
    parser.add_argument("--pattern", metavar="NAME=REGEX", action="append", default=[], help="a pattern of your own")
    parser.add_argument(
        "--pseudonymize", action="append", default=[], choices=[*map(str, PseudonymizedField)], help="default: nothing"
    )
    parser.add_argument("--test", action="store_true", help="print no events, but what is taken out, where and by what")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Redact and print."""
    demand = _demand(options)
    removed: Counter[Removal] = Counter()
    events = 0
    for place, line in _lines(options.files):
        event = _event(place, line)
        redacted = apply(event, demand, line=line, namespace=_namespace(event), key=KEY)
        events += 1
        if not options.test:
            print(text_of(redacted.event))
            continue
        removed.update(redacted.removals)
        for removal in redacted.removals:
            print(f"{place}: {removal.place}: {removal.rule}")
    if options.test:
        print(f"{events} events; taken out:" if removed else f"{events} events; nothing is taken out")
        for rule, count in sorted(Counter(each.rule for each in removed.elements()).items()):
            print(f"  {count:7}  {rule}")
    return 0


def _demand(options: argparse.Namespace) -> RedactionDemand:
    profiles = DEFAULT.profiles
    if options.profile is not None:
        profiles = frozenset(RedactionProfile(each) for each in options.profile if each != "none")
    return RedactionDemand(
        profiles=profiles,
        patterns=tuple(sorted(map(_pattern, options.pattern))),
        pseudonymize=frozenset(map(PseudonymizedField, options.pseudonymize)),
    )


def _pattern(text: str) -> OwnPattern:
    name, found, regex = text.partition("=")
    own = OwnPattern.parse(name, regex, "[REDACTED]") if found else Refused("it has no name: write NAME=REGEX")
    if isinstance(own, Refused):
        raise UsageError(f"--pattern {text!r} cannot be used: {own.reason}")
    return own


def _lines(files: list[str]) -> Iterator[tuple[str, str]]:
    for file, content in read_files(files):
        # Split at line feeds alone: the text may hold other line separators, inside of strings.
        for number, line in enumerate(content.split("\n"), 1):
            if line.strip():
                yield f"{file}:{number}", line


def _event(place: str, line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError) as error:
        # The reason alone: the error itself may hold a part of the line.
        raise UsageError(f"{place}: this is no JSON") from error
    if not isinstance(event, dict):
        raise UsageError(f"{place}: this is no audit event")
    return event


def _namespace(event: dict[str, Any]) -> str:
    reference = event.get("objectRef")
    namespace = reference.get("namespace") if isinstance(reference, dict) else None
    return namespace if isinstance(namespace, str) else ""
