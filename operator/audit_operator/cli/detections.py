"""`detections check`: whether detections, of others or our own, can ever fire."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from audit_operator.cli import detection_history, detection_rules
from audit_operator.cli.asked_policy import add_policy_source, policy_of
from audit_operator.cli.inputs import files_of, read_file
from audit_operator.cli.offline import add_compilation, compile_objects
from audit_operator.cli.own_detections import add_own, judged_objects, own_detections
from audit_operator.cli.policy_file import read_policy
from audit_operator.cli.usage import UsageError, add_version
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.detections.elastic import elastic_rules
from audit_operator.detections.enabling import enable
from audit_operator.detections.falco import falco_rules
from audit_operator.detections.firing import Firing, judge
from audit_operator.detections.report import to_json, to_table
from audit_operator.detections.rule import DetectionRule, NotUnderstoodError
from audit_operator.detections.sigma import sigma_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from audit_operator.detections.report import Judged

EXAMPLES = """examples:
  audit-operator detections check --policy audit-policy.yaml --falco k8s_audit_rules.yaml
  audit-operator detections check -f policies/ --sigma sigma/rules/application/kubernetes
  kubectl audit-policy detections check --elastic detection-rules/rules/integrations/kubernetes
  audit-operator detections check -f policies/                            spec.detections of our objects
  audit-operator detections check -f policies/ --presets --own ours.yaml
  audit-operator detections check -f policies/ --falco k8s_audit_rules.yaml -o json --fail-on cannot

Exit status: 0 fine; 1 if a rule is as bad as --fail-on, or an object could not be read; 2 for wrong usage, or
files that hold no rules.
"""
GROUP_EXAMPLES = """examples:
  audit-operator detections check -f policies/                         can what our objects ask for ever fire?
  audit-operator detections check --policy audit-policy.yaml --falco k8s_audit_rules.yaml
  audit-operator detections test audit.log --presets                   what would have fired on a log
  audit-operator detections rules -f policies/ > audit-detections.yaml alerts for Prometheus
"""
_FAILING = {
    "cannot": {Firing.CANNOT},
    "partly": {Firing.CANNOT, Firing.PARTLY},
    "unjudged": {Firing.CANNOT, Firing.PARTLY, Firing.UNJUDGED},
    "never": set[Firing](),
}
_YAML = frozenset({".yaml", ".yml"})
_READERS: dict[str, tuple[Callable[[str, str], list[DetectionRule]], frozenset[str]]] = {
    "falco": (falco_rules, _YAML),
    "sigma": (sigma_rules, _YAML),
    "elastic": (elastic_rules, frozenset({".toml"})),
}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "detections",
        help="check whether detections can fire, try them on logs, and make alerts of them",
        description="Check whether detections can fire, try them on logs, and make alerts of them.",
        epilog=GROUP_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _register_check(actions)
    detection_history.register(actions)
    detection_rules.register(actions)


def _register_check(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = actions.add_parser(
        "check",
        help="judge whether rules of Falco, Sigma and Elastic, and our own detections, can fire",
        description="Say of each rule whether it can fire with the policy as it is: with an event as witness, or with "
        "what is not recorded and the smallest change that helps. What is not understood is not judged.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for pack in _READERS:
        check.add_argument(
            f"--{pack}", metavar="PATH", action="append", default=[], help=f"rules of {pack.capitalize()}: file, folder"
        )
    add_own(check)
    add_policy_source(check)
    check.add_argument("-o", "--output", choices=["table", "json"], default="table", help="default: table")
    check.add_argument(
        "--fail-on", choices=list(_FAILING), default="never", help="exit with 1 at such a verdict or a worse one"
    )
    add_compilation(check)
    add_version(check)
    check.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Judge and print."""
    rules = [rule for pack in _READERS for path in getattr(options, pack) for rule in _rules(pack, path)]
    rules += [each.rule(file) for file, each in own_detections(options)]
    judged: list[Judged] = []
    unreadable = False
    if options.policy or not (rules or options.filename):
        _expect(rules)
        policy = read_policy(options.policy, options.kubernetes_version)
    else:
        compiled = compile_objects(options.filename, options)
        policy, unreadable = policy_of(compiled), bool(compiled.unreadable)
        judged += judged_objects(compiled)
        if not unreadable:
            _expect([*rules, *judged])
    catalogue = builtin_catalogue()
    judgements = [judge(rule, policy) for rule in rules]
    judged += [(each, enable(each, policy, catalogue)) for each in judgements]
    if options.output == "json":
        print(json.dumps(to_json(judged), indent=2, ensure_ascii=True))
    else:
        sys.stdout.write(to_table(judged))
    return int(unreadable or any(each.firing in _FAILING[options.fail_on] for each, _ in judged))


def _expect(rules: Sequence[object]) -> None:
    if not rules:
        message = "there is no rule about Kubernetes' audit log; pass some with --falco, --sigma, --elastic or --own"
        raise UsageError(message)


def _rules(pack: str, path: str) -> Iterator[DetectionRule]:
    reader, suffixes = _READERS[pack]
    files = files_of(path, suffixes)
    if not files:
        raise UsageError(f"there is no file of rules of {pack.capitalize()} in {path} ({', '.join(sorted(suffixes))})")
    found = False
    for file in files:
        try:
            rules = reader(read_file(file), file)
        except NotUnderstoodError as error:
            message = f"{file} holds no rules of {pack.capitalize()}: {error}"
            raise UsageError(message) from error
        found |= bool(rules)
        yield from rules
    if not found:
        raise UsageError(f"there is no rule of {pack.capitalize()} about Kubernetes' audit log in {path}")
