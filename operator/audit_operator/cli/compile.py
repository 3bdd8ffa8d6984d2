"""`compile`: our objects in, one audit policy out."""

from __future__ import annotations

import argparse
import json
import sys

import yaml

from audit_operator.cli.offline import Compiled, add_compilation, compile_objects, print_findings
from audit_operator.cli.usage import add_fail_on, add_version, exit_status
from audit_operator.controlplane.fragments import Platform, render_fragment
from audit_operator.controlplane.static_pod.audit_flags import LogSettings

EXAMPLES = """examples:
  audit-operator compile -f policies/                          every object in a folder
  audit-operator compile -f a.yaml -f ns.yaml --kubernetes-version 1.34
  audit-operator compile --context prod --precision Envelope   what a cluster's objects amount to
  audit-operator compile -f policies/ --for talos              as a patch of Talos's machine configuration

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
    form = parser.add_mutually_exclusive_group()
    form.add_argument("-o", "--output", choices=["yaml", "json"], default="yaml", help="default: yaml")
    form.add_argument(
        "--for",
        dest="platform",
        type=Platform,
        choices=list(Platform),
        metavar="PLATFORM",
        help="print the configuration that a platform takes, with the log settings of the AuditControlPlane: "
        f"{', '.join(Platform)}",
    )
    add_compilation(parser)
    add_version(parser)
    add_fail_on(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compile and print."""
    compiled = compile_objects(options.filename, options)
    print_findings(compiled.findings)
    sys.stdout.write(_written(compiled, options))
    return exit_status(compiled.findings, options.fail_on)


def _written(compiled: Compiled, options: argparse.Namespace) -> str:
    policy = compiled.result.desired
    if options.platform is not None:
        return render_fragment(options.platform, policy, LogSettings.from_spec(compiled.plane.spec.log))
    return f"{json.dumps(yaml.safe_load(policy.text), indent=2)}\n" if options.output == "json" else policy.text
