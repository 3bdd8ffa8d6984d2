"""`import`: a policy that somebody wrote for an API server, as an object of ours that asks for the same."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
from audit_operator.api.parsing import parse_object
from audit_operator.api.resource import API_VERSION
from audit_operator.cli.inputs import objects_in
from audit_operator.cli.offline import print_findings
from audit_operator.cli.policy_file import read_policy
from audit_operator.cli.usage import UsageError, add_version
from audit_operator.plan.contributions import cluster_contribution
from audit_operator.policy.document import parse_document
from audit_operator.policy.render import render

if TYPE_CHECKING:
    from audit_operator.policy.model import Policy

EXAMPLES = """examples:
  audit-operator import /etc/kubernetes/audit-policy.yaml > baseline.yaml
  audit-operator import audit-policy.yaml --name company --control-plane main | kubectl apply -f -
  audit-operator diff --from-policy audit-policy.yaml --to baseline.yaml      nothing changes

What is printed asks for exactly what the policy records: it is read back and compared before it is printed. Comments
are not kept. Rules that can never match, and that the API server takes all the same, are refused by our kinds: take
them out (audit-operator lint names them).
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "import",
        help="make a ClusterAuditPolicy out of an audit policy",
        description="Print a ClusterAuditPolicy that asks for exactly what an audit.k8s.io/v1 Policy records.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("policy", metavar="FILE", help="an audit.k8s.io/v1 Policy; - for standard input")
    parser.add_argument("--name", metavar="NAME", default="baseline", help="of the object (default: baseline)")
    parser.add_argument("--control-plane", metavar="NAME", help="AuditControlPlane (default: the default one)")
    add_version(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Convert, check and print."""
    policy = read_policy(options.policy, options.kubernetes_version)
    text = _text(policy, options.name, options.control_plane)
    [(_, document)] = objects_in(parse_document(text).value)
    parsed = parse_object(document)
    if isinstance(parsed, tuple):
        print_findings(parsed)
        raise UsageError(f"{options.policy} has rules that a ClusterAuditPolicy cannot have, see above")
    if not isinstance(parsed, ClusterAuditPolicy) or cluster_contribution(parsed, ()).policy != policy:
        raise RuntimeError("the object does not ask for what the policy records")
    sys.stdout.write(text)
    return 0


def _text(policy: Policy, name: str, control_plane: str | None) -> str:
    """The object; its spec is written as a policy is, since it has the same words."""
    spec = [line for line in render(policy).splitlines() if not line.startswith(("apiVersion:", "kind:"))]
    if control_plane:
        spec = ["controlPlaneRef:", f"  name: {json.dumps(control_plane)}", *spec]
    head = [f"apiVersion: {API_VERSION}", "kind: ClusterAuditPolicy", "metadata:", f"  name: {json.dumps(name)}"]
    return "".join(f"{line}\n" for line in (*head, "spec:", *(f"  {line}" for line in spec)))
