"""`detections rules`: the alerts of detections, for Prometheus."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import yaml

from audit_operator.api.findings import ObjectRef
from audit_operator.cli.from_cluster import add_connection, read_cluster
from audit_operator.cli.inputs import read_facts
from audit_operator.cli.offline import print_findings
from audit_operator.cli.own_detections import add_own, own_detections
from audit_operator.cli.usage import UsageError, add_version, namespace
from audit_operator.detections.alert_rules import rule_group
from audit_operator.plan.alert_rules import AlertRules, AlertSettings, alert_rules, prometheus_rule

if TYPE_CHECKING:
    from audit_operator.detections.own import OwnDetection

EXAMPLES = """examples:
  audit-operator detections rules -f policies/ > audit-detections.yaml     rule_files of a prometheus.yml names it
  audit-operator detections rules -f policies/ -o prometheusrule | kubectl apply -f -
  kubectl audit-policy detections rules                                    of the cluster's policies
  audit-operator detections rules --presets --runbook-url https://wiki.example.com/runbooks

Shippers count what spec.detections of policies in the cluster says. What stands in files alone (--own, --presets) fires
only where some ClusterAuditPolicy has a detection with the same selection and the same groups.

Exit status: 0 fine; 1 if an object cannot be used; 2 for wrong usage.
"""
_FILE = "AuditDetections"


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "rules",
        help="print the alerts of detections, for Prometheus",
        description="Print alerting rules for detections: a file of rules, or PrometheusRule objects, one a policy.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_own(parser)
    parser.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        action="append",
        help="our objects (default: the cluster's, without --own, --presets)",
    )
    parser.add_argument(
        "-n",
        "--namespace",
        type=namespace,
        metavar="NS",
        default="",
        help="where objects of cluster-wide policies and files belong",
    )
    parser.add_argument("--runbook-url", metavar="URL", default="", help="where docs/runbooks.md is published")
    parser.add_argument(
        "-o", "--output", choices=["prometheus", "prometheusrule"], default="prometheus", help="default: prometheus"
    )
    add_version(parser)
    add_connection(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Render, and print."""
    settings = AlertSettings(options.namespace, options.runbook_url)
    rules, unusable = _of_files(own_detections(options), settings), False
    if options.filename or options.kubeconfig or not rules:
        facts = read_facts(options.filename) if options.filename else read_cluster(options)
        print_findings(facts.findings)
        unusable = bool(facts.unreadable)
        rules += alert_rules(facts.snapshot, settings)
    if not rules and not unusable:
        raise UsageError("there are no detections; pass some with -f, --own or --presets")
    if options.output == "prometheus":
        _print([{"groups": [dict(each.group) for each in rules]}])
    else:
        _print([prometheus_rule(each, settings.labels) for each in rules])
    return int(unusable)


def _of_files(found: list[tuple[str, OwnDetection]], settings: AlertSettings) -> list[AlertRules]:
    own = [each for _, each in found]
    if not own:
        return []
    holder = ObjectRef(_FILE, "own")
    group = rule_group(holder, own, runbook=settings.runbook, namespace=settings.namespace)
    return [AlertRules(holder, "", settings.namespace, group)]


def _print(documents: list[dict[str, Any]]) -> None:
    yaml.safe_dump_all(documents, sys.stdout, sort_keys=False, allow_unicode=True, width=float("inf"))
