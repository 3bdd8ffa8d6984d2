"""`compliance`: which controls of frameworks the audit log is evidence for, in files or in a cluster."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from audit_operator import __version__
from audit_operator.api.compliance import Framework
from audit_operator.api.parsing import to_json as document_of
from audit_operator.cli.asked_policy import add_policy_source
from audit_operator.cli.offline import add_compilation, compile_objects, print_findings
from audit_operator.cli.policy_file import read_policy
from audit_operator.cli.usage import add_version, namespace
from audit_operator.compliance.facts import Facts
from audit_operator.compliance.judgement import Outcome, Result, judge
from audit_operator.compliance.kube_bench import to_kube_bench
from audit_operator.compliance.open_reports import to_open_report
from audit_operator.compliance.oscal import to_oscal
from audit_operator.compliance.report import to_json, to_table
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.coverage.verdicts import Coverage, assess
from audit_operator.plan.compliance import Said, delivers, of_another_policy
from audit_operator.plan.covering import catalogue_for
from audit_operator.plan.sinks import Sinks

if TYPE_CHECKING:
    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.cli.offline import Compiled

EXAMPLES = """examples:
  audit-operator compliance --policy /etc/kubernetes/audit-policy.yaml --framework CIS
  audit-operator compliance -f policies/ -n payments
  kubectl audit-policy compliance                              with what the cluster's statuses prove
  kubectl audit-policy compliance -n payments -o json
  kubectl audit-policy compliance -o oscal > assessment-results.json
  kubectl audit-policy compliance -o openreports | kubectl apply --server-side -f -
"""
_OUTPUTS = ["table", "json", "kube-bench", "oscal", "openreports"]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "compliance",
        help="judge which controls of frameworks the audit log is evidence for",
        description="Judge controls of frameworks by what was observed: Pass, Fail, NotApplicable, or CannotBeJudged "
        "where no tool can tell or nothing was observed. In files only the policy can be judged. No verdict is a "
        "certificate.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_policy_source(parser)
    parser.add_argument(
        "-n", "--namespace", type=namespace, metavar="NS", help="judge one namespace (default: the cluster)"
    )
    parser.add_argument(
        "--framework",
        metavar="NAME",
        action="append",
        choices=[each.value for each in Framework],
        help=f"one of {', '.join(Framework)} (default: those that policies name, else all)",
    )
    parser.add_argument("-o", "--output", choices=_OUTPUTS, default="table", help="default: table")
    parser.add_argument("--fail-on", choices=["fail", "never"], default="never", help="exit with 1 if a control fails")
    add_compilation(parser)
    add_version(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Judge and print."""
    namespace = options.namespace or ""
    if options.policy:
        coverage = assess(
            read_policy(options.policy, options.kubernetes_version), builtin_catalogue(), namespace=options.namespace
        )
        facts, named = Facts(namespace, coverage, as_written=True), frozenset[Framework]()
        unreadable = False
    else:
        compiled = compile_objects(options.filename, options)
        print_findings(compiled.findings)
        facts, named = _of_objects(compiled, options, namespace)
        unreadable = bool(compiled.unreadable)
    results = judge(map(Framework, options.framework) if options.framework else named or Framework, facts)
    _print(results, facts, options.output)
    failed = any(each.count(Outcome.FAIL) for each in results)
    return int(unreadable or (failed and options.fail_on == "fail"))


def _print(results: tuple[Result, ...], facts: Facts, output: str) -> None:
    if output == "table":
        sys.stdout.write(to_table(results, as_written=facts.as_written))
        return
    about = f"namespace {facts.namespace}" if facts.namespace else "the cluster"
    if facts.as_written:
        about += ", as its policy is written"
    clock = datetime.now(UTC)
    now = clock.isoformat(timespec="seconds").replace("+00:00", "Z")
    documents = {
        "json": lambda: to_json(results, namespace=facts.namespace, as_written=facts.as_written),
        "kube-bench": lambda: to_kube_bench(results, version=__version__),
        "openreports": lambda: to_open_report(results, namespace=facts.namespace, at=int(clock.timestamp())),
        "oscal": lambda: to_oscal(results, about=about, at=now, version=__version__),
    }
    print(json.dumps(documents[output](), indent=2, ensure_ascii=False))


def _of_objects(compiled: Compiled, options: argparse.Namespace, namespace: str) -> tuple[Facts, frozenset[Framework]]:
    """What is known by the objects in files or of a cluster, and the frameworks that those concerned name."""
    policies = _concerned(compiled, namespace)
    named = frozenset(name for each in policies if each.spec.compliance for name in each.spec.compliance.frameworks)
    coverage = _coverage(compiled, options.namespace)
    if options.filename:
        return Facts(namespace, coverage, as_written=True), named
    snapshot = compiled.snapshot
    objects = (*snapshot.policies(), *snapshot.sinks(), *snapshot.control_planes)
    statuses = {each.ref: document_of(each.status) for each in objects if each.status is not None}
    facts = Said(statuses, Sinks.of(snapshot)).facts(namespace, coverage, policies, compiled.plane)
    digest = compiled.given.digest if compiled.given is not None else compiled.result.desired.digest
    return facts if delivers(compiled.plane, digest) else of_another_policy(facts), named


def _coverage(compiled: Compiled, namespace: str | None) -> Coverage | None:
    if compiled.policy is None:
        return None
    return assess(compiled.policy, catalogue_for(compiled.plane, compiled.snapshot)[0], namespace=namespace)


def _concerned(compiled: Compiled, namespace: str) -> tuple[AuditPolicy | ClusterAuditPolicy, ...]:
    """The policies that answer for a namespace: its own, else those of the cluster."""
    assigned = [
        each
        for each in compiled.snapshot.policies()
        if compiled.planned.assigned.get(each.ref) == compiled.plane.metadata.name
    ]
    own = tuple(each for each in assigned if each.metadata.namespace == namespace)
    return own or tuple(each for each in assigned if not each.metadata.namespace)
