"""`compile`: our objects in, one audit policy out."""

from __future__ import annotations

import argparse
import json
import sys

import yaml

from audit_operator.cli.offline import add_compilation, compile_objects, print_findings
from audit_operator.cli.usage import add_fail_on, add_version, exit_status

EXAMPLES = """examples:
  audit-operator compile -f policies/                          every object in a folder
  audit-operator compile -f a.yaml -f ns.yaml --kubernetes-version 1.34
  audit-operator compile --context prod --precision Envelope   what a cluster's objects amount to

Namespaces that no Namespace object describes count as having no labels.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "compile",
        help="compile policies into one audit policy",
        description="Compile AuditPolicy and ClusterAuditPolicy objects into the one audit.k8s.io/v1 Policy that an "
        "API server is to run. The policy goes to standard output, findings to standard error.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        action="append",
        help="file, folder, or - for standard input (default: the objects of the cluster)",
    )
    parser.add_argument("-o", "--output", choices=["yaml", "json"], default="yaml", help="default: yaml")
    add_compilation(parser)
    add_version(parser)
    add_fail_on(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compile and print."""
    compiled = compile_objects(options.filename, options)
    print_findings(compiled.findings)
    text = compiled.result.desired.text
    sys.stdout.write(f"{json.dumps(yaml.safe_load(text), indent=2)}\n" if options.output == "json" else text)
    return exit_status(compiled.findings, options.fail_on)
