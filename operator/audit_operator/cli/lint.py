"""`lint`: what in a policy is not what its author thinks it is."""

from __future__ import annotations

import argparse
import sys

from audit_operator.cli.inputs import read_files, texts_of
from audit_operator.cli.lint_detections import lint_detections
from audit_operator.cli.usage import add_fail_on, add_version, exit_status
from audit_operator.policy.lint import as_json, as_sarif, as_text, lint_text

EXAMPLES = """examples:
  audit-operator lint /etc/kubernetes/audit-policy.yaml
  audit-operator lint policies/ --fail-on warning
  audit-operator lint policies/ -o sarif > lint.sarif
  kubectl get configmap audit-policy -o yaml | audit-operator lint -

Reads audit.k8s.io/v1 Policies, ConfigMaps that hold one, and our own kinds. docs/lint.md explains every check.
Of our objects, spec.detections are judged on all policies that are passed: docs/detections.md explains these findings.
"""
FORMS = {"text": as_text, "json": as_json, "sarif": as_sarif}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "lint",
        help="find mistakes in audit policies",
        description="Find misspelt keys, dead and shadowed rules, blind spots, leaks and noise in audit policies, with "
        "the line and the mend.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="file, folder, or - for standard input")
    parser.add_argument("-o", "--output", choices=list(FORMS), default="text", help="default: text")
    add_version(parser)
    add_fail_on(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Lint and print."""
    files = list(read_files(options.files))
    findings = [
        finding
        for file, content in files
        for finding in lint_text(content, file=file, version=options.kubernetes_version)
    ]
    findings += lint_detections(list(texts_of(files)))
    sys.stdout.write(FORMS[options.output](findings))
    return exit_status(findings, options.fail_on)
