"""`test`: whether policies do what people expect of them."""

from __future__ import annotations

import argparse
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from audit_operator.api.text import printable
from audit_operator.cli.asked_policy import asked_policy
from audit_operator.cli.inputs import read_files
from audit_operator.cli.offline import add_compilation, print_findings
from audit_operator.cli.usage import UsageError, add_version, as_line
from audit_operator.policy.expectations import Expectations, Outcome, check, load_expectations
from audit_operator.policy.explanation_text import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit_operator.api.findings import Finding

EXAMPLES = """examples:
  audit-operator test expectations.yaml --policy audit-policy.yaml
  audit-operator test tests/ -f policies/ --junit report.xml          what our objects compile to
  kubectl audit-policy test expectations.yaml                         what the cluster's objects compile to

A file of expectations:
  apiVersion: test.audit-operator.dev/v1alpha1
  kind: AuditPolicyTest
  cases:
  - name: nobody reads a Secret unseen, and no Secret is in the log
    user: {name: alice, groups: [dev]}
    requests:
    - GET /api/v1/namespaces/payments/secrets/db
    - GET /api/v1/secrets?watch=true
    level: Metadata
    stages: [ResponseComplete]
  - name: failed authentications are recorded
    requests: [GET /api/v1/namespaces]
    atLeast: Metadata

Exit status: 0 if all is as expected; 1 if not, or if an object could not be read; 2 for wrong usage, or files that are
no expectations.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "test",
        help="test policies against what is expected of them",
        description="Check for requests whether policies record them as expected, and say of others why not.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="expectations: file, folder, or - for standard input")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--policy", metavar="FILE", help="an audit.k8s.io/v1 Policy")
    source.add_argument(
        "-f", "--filename", metavar="PATH", action="append", help="our objects: file or folder (default: the cluster's)"
    )
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write a JUnit report besides")
    add_compilation(parser)
    add_version(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check and print."""
    files = [(file, _expectations(file, text)) for file, text in read_files(options.files)]
    asked = asked_policy(options.policy, options.filename, options)
    outcomes = [(file, outcome) for file, expectations in files for outcome in check(asked.policy, expectations)]
    failed = [(file, outcome) for file, outcome in outcomes if outcome.problems]
    for file, outcome in failed:
        sys.stdout.write(_as_text(file, outcome))
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} requests are recorded as expected")
    if options.junit:
        _write(options.junit, _as_junit(outcomes, asked.unreadable))
    return int(bool(failed or asked.unreadable))


def _expectations(file: str, text: str) -> Expectations:
    loaded = load_expectations(text, file=file)
    if isinstance(loaded, Expectations):
        return loaded
    print_findings(loaded)
    raise UsageError(f"{file} holds no expectations that can be checked")


def _as_text(file: str, outcome: Outcome) -> str:
    lines = [f"{file}: {outcome.case}: {outcome.request}", *(f"  {each}" for each in outcome.problems)]
    lines += [f"  {each}" for each in _explained(outcome)]
    return "".join(f"{printable(each)}\n" for each in lines)


def _explained(outcome: Outcome) -> list[str]:
    return describe(outcome.explanation).split("\n") if outcome.explanation else []


def _as_junit(outcomes: list[tuple[str, Outcome]], unreadable: Sequence[Finding]) -> ET.Element:
    """As CI systems read it: a suite for each file, a test for each request; an error for what could not be read."""
    root = ET.Element("testsuites")
    for file, listed in groupby(outcomes, key=lambda each: each[0]):
        group = [outcome for _, outcome in listed]
        failures = str(sum(bool(each.problems) for each in group))
        suite = ET.SubElement(root, "testsuite", name=printable(file), tests=str(len(group)), failures=failures)
        for each in group:
            name = printable(f"{each.case}: {each.request}")
            case = ET.SubElement(suite, "testcase", classname=printable(each.case), name=name)
            if each.problems:
                message = printable("; ".join(each.problems))
                text = "\n".join(map(printable, _explained(each)))
                ET.SubElement(case, "failure", message=message).text = text
    if unreadable:
        count = str(len(unreadable))
        suite = ET.SubElement(root, "testsuite", name="objects", tests=count, failures="0", errors=count)
        for finding in unreadable:
            name = printable(str(finding.object or finding.location.file or "object"))
            case = ET.SubElement(suite, "testcase", classname="objects", name=f"{name} can be read")
            ET.SubElement(case, "error", message=printable(as_line(finding)))
    return root


def _write(path: Path, root: ET.Element) -> None:
    try:
        ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
