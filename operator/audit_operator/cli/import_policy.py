"""`import`: a policy that somebody wrote for an API server, as an object of ours that asks for the same."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import yaml

from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
from audit_operator.api.parsing import parse_object
from audit_operator.api.resource import API_VERSION
from audit_operator.cli.offline import print_findings
from audit_operator.cli.policy_file import read_policy
from audit_operator.cli.usage import UsageError, add_version
from audit_operator.plan.contributions import cluster_contribution

if TYPE_CHECKING:
    from audit_operator.policy.model import GroupResources, Policy, Rule

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
    document = _document(policy, options.name, options.control_plane)
    parsed = parse_object(document)
    if isinstance(parsed, tuple):
        print_findings(parsed)
        raise UsageError(f"{options.policy} has rules that a ClusterAuditPolicy cannot have, see above")
    if not isinstance(parsed, ClusterAuditPolicy) or cluster_contribution(parsed, ()).policy != policy:
        raise RuntimeError("the object does not ask for what the policy records")
    yaml.safe_dump(document, sys.stdout, sort_keys=False, width=120, allow_unicode=True)
    return 0


def _document(policy: Policy, name: str, control_plane: str | None) -> dict[str, Any]:
    spec: dict[str, Any] = {"controlPlaneRef": {"name": control_plane}} if control_plane else {}
    if policy.omit_stages:
        spec["omitStages"] = sorted(map(str, policy.omit_stages))
    if policy.omit_managed_fields:
        spec["omitManagedFields"] = True
    spec["rules"] = list(map(_rule, policy.rules))
    return {"apiVersion": API_VERSION, "kind": "ClusterAuditPolicy", "metadata": {"name": name}, "spec": spec}


def _rule(rule: Rule) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "level": str(rule.level),
        "users": list(rule.users),
        "userGroups": list(rule.user_groups),
        "verbs": list(rule.verbs),
        "resources": list(map(_entry, rule.resources)),
        "namespaces": list(rule.namespaces),
        "nonResourceURLs": list(rule.non_resource_urls),
        "omitStages": sorted(map(str, rule.omit_stages)),
        "omitManagedFields": rule.omit_managed_fields,
    }
    return {key: value for key, value in fields.items() if value not in ([], None)}


def _entry(entry: GroupResources) -> dict[str, Any]:
    fields = {
        "group": entry.group,
        "resources": list(entry.resources),
        "resourceNames": list(entry.resource_names),
    }
    return {key: value for key, value in fields.items() if value or key == "group"}
