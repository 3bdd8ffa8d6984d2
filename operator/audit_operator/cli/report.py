"""`report`: coverage and what status says, as one file that can be handed on."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator import __version__
from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.parsing import to_json
from audit_operator.cli.inputs import read_file
from audit_operator.cli.offline import Compiled, add_compilation, compile_objects, print_findings
from audit_operator.cli.report_pdf import as_pdf
from audit_operator.cli.usage import UsageError, add_version, namespace
from audit_operator.plan.covering import catalogue_for
from audit_operator.plan.selection import known_namespaces
from audit_operator.report.building import ReportFacts, build
from audit_operator.report.html import to_html
from audit_operator.report.markdown import to_markdown
from audit_operator.report.trend import EarlierReport, read_earlier, trend

if TYPE_CHECKING:
    from audit_operator.report.model import Report

EXAMPLES = """examples:
  kubectl audit-policy report --output report.html             the cluster of the kubeconfig
  audit-operator report -n payments -n shop --output ours.html
  audit-operator report -o json --output 2026-11.json          to be compared with later
  audit-operator report --since-report 2026-10.json --output 2026-11.html
  audit-operator report -o pdf --output report.pdf             by Chromium or Chrome, if there is one
  audit-operator report -f objects/ -o md                      of files; with status, if they have it

The report says where records are missing: it is written for its owner alone (mode 0600).
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report",
        help="coverage, gaps, delivery, retention and compliance as one file",
        description="Judge every namespace, and put it together with what the status of policies says: one file "
        "that needs no network.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        action="append",
        help="our objects: file, folder, or - (default: the cluster's)",
    )
    parser.add_argument(
        "-n",
        "--namespace",
        type=namespace,
        metavar="NS",
        action="append",
        default=[],
        help="only about this one (default: all, and the cluster as a whole)",
    )
    parser.add_argument(
        "-o", dest="format", choices=["html", "json", "md", "pdf"], default="html", help="default: html"
    )
    parser.add_argument("--output", metavar="FILE", type=Path, help="default: standard output")
    parser.add_argument("--since-report", metavar="FILE", help="an earlier report as JSON: says what has changed since")
    add_compilation(parser)
    add_version(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Build the report and write it."""
    if options.format == "pdf" and options.output is None:
        raise UsageError("-o pdf needs --output FILE")
    earlier = _earlier(options.since_report) if options.since_report else None
    compiled = compile_objects(options.filename, options)
    print_findings(compiled.findings)
    report = build(_facts(compiled, tuple(options.namespace)))
    if earlier is not None:
        if earlier.control_plane != report.control_plane:
            raise UsageError(f"{options.since_report} is about the control plane {earlier.control_plane!r}")
        report = report.model_copy(update={"trend": trend(earlier, report)})
    content = _rendered(report, options.format)
    if options.output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    else:
        _write(options.output, content)
    return int(bool(compiled.unreadable))


def _earlier(path: str) -> EarlierReport:
    earlier = read_earlier(read_file(path))
    if isinstance(earlier, str):
        raise UsageError(f"{path} cannot be compared with: {earlier}")
    return earlier


def _facts(compiled: Compiled, namespaces: tuple[str, ...]) -> ReportFacts:
    given, plane = compiled.given, compiled.plane
    if compiled.policy is None:
        print_findings(given.faults if given else ())
        raise UsageError("those API servers are only observed, and their policy is not known: nothing can be judged")
    catalogue, faults = catalogue_for(plane, compiled.snapshot)
    known = {each.name for each in known_namespaces(compiled.snapshot)}
    remarks = (
        *compiled.findings,
        *(replace(each, object=plane.ref) for each in faults),
        *(_unseen(each) for each in namespaces if each not in known),
    )
    return ReportFacts(
        snapshot=compiled.snapshot,
        assigned=compiled.planned.assigned,
        control_plane=plane.metadata.name,
        policy=compiled.policy,
        digest=given.digest if given is not None else compiled.result.desired.digest,
        given=given is not None,
        catalogue=catalogue,
        findings=tuple(dict.fromkeys(remarks)),
        namespaces=namespaces,
        made=datetime.now(UTC),
        by=f"audit-operator {__version__}",
    )


def _unseen(namespace: str) -> Finding:
    return Finding(
        id="namespace-not-found",
        severity=Severity.WARNING,
        message="there is no such namespace: it is judged as one without labels would be",
        mend="check its name",
        object=ObjectRef("Namespace", namespace),
    )


def _rendered(report: Report, form: str) -> bytes:
    match form:
        case "pdf":
            return as_pdf(to_html(report))
        case "json":
            text = json.dumps(to_json(report), indent=1) + "\n"
        case "md":
            text = to_markdown(report)
        case _:
            text = to_html(report)
    return text.encode()


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing, and for nobody else to read: it says where the holes are."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(name, path)  # noqa: PTH105 - the name is a string
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
