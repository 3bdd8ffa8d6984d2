"""`compile`: our objects in, one audit policy out."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from audit_operator.api.control_plane import AuditControlPlane, Precision
from audit_operator.api.parsing import parse_object
from audit_operator.cli.inputs import read_facts
from audit_operator.cli.usage import UsageError, add_fail_on, add_version, as_line, exit_status
from audit_operator.plan import plan

EXAMPLES = """examples:
  audit-operator compile -f policies/                          every object in a folder
  audit-operator compile -f a.yaml -f ns.yaml --kubernetes-version 1.34
  kubectl get aup,caup,ns -A -o yaml | audit-operator compile -f - --precision Envelope

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
        "-f", "--filename", metavar="PATH", action="append", required=True, help="file, folder, or - for standard input"
    )
    parser.add_argument(
        "--precision",
        choices=[each.value for each in Precision],
        help="how closely to follow each namespace (default: what the AuditControlPlane says, else Exact)",
    )
    parser.add_argument("--control-plane", metavar="NAME", help="which AuditControlPlane, where there are several")
    add_version(parser)
    add_fail_on(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compile and print."""
    facts = read_facts(options.filename)
    planes = facts.snapshot.control_planes or (_control_plane("default"),)
    planes = tuple(_with_options(each, options) for each in planes)
    planned = plan(replace(facts.snapshot, control_planes=planes))
    name = _chosen(options.control_plane, sorted(planned.compiled))
    compiled = planned.compiled[name]
    findings = [
        *facts.findings,
        *(replace(each, object=each.object or ref) for ref, found in planned.findings.items() for each in found),
        *compiled.findings(),
    ]
    for finding in findings:
        print(as_line(finding), file=sys.stderr)
    sys.stdout.write(compiled.desired.text)
    return exit_status(findings, options.fail_on)


def _chosen(wanted: str | None, names: list[str]) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return wanted
    message = f"--control-plane must be one of: {', '.join(names)}"
    raise UsageError(message)


def _control_plane(name: str) -> AuditControlPlane:
    parsed = parse_object(
        {
            "apiVersion": "audit-operator.dev/v1alpha1",
            "kind": "AuditControlPlane",
            "metadata": {"name": name},
            "spec": {"default": True, "driver": "Process"},
        }
    )
    if not isinstance(parsed, AuditControlPlane):
        raise TypeError(parsed)
    return parsed


def _with_options(plane: AuditControlPlane, options: argparse.Namespace) -> AuditControlPlane:
    spec = plane.spec.model_copy(
        update={
            "kubernetes_version": "{}.{}".format(*options.kubernetes_version),
            **({"precision": Precision(options.precision)} if options.precision else {}),
        }
    )
    return plane.model_copy(update={"spec": spec})
