"""`detections check`: whether detections, of others or our own, can ever fire."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.cli import detection_history
from audit_operator.cli.asked_policy import add_policy_source, asked_policy
from audit_operator.cli.inputs import read_facts, read_file
from audit_operator.cli.offline import add_compilation
from audit_operator.cli.own_detections import add_own, detections_of, own_detections
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
    from collections.abc import Callable, Iterator

EXAMPLES = """examples:
  audit-operator detections check --policy audit-policy.yaml --falco k8s_audit_rules.yaml
  audit-operator detections check -f policies/ --sigma sigma/rules/application/kubernetes
  kubectl audit-policy detections check --elastic detection-rules/rules/integrations/kubernetes
  audit-operator detections check -f policies/                            spec.detections of our objects
  audit-operator detections check -f policies/ --presets --own ours.yaml
  audit-operator detections check -f policies/ --falco k8s_audit_rules.yaml -o json --fail-on cannot

Exit status: 0 fine; 1 if a rule is as bad as --fail-on; 2 for wrong usage, or files that hold no rules.
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
    parser = commands.add_parser("detections", help="check whether detections can fire, and try them on logs")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _register_check(actions)
    detection_history.register(actions)


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
    found = own_detections(options)
    if options.filename:
        found += detections_of(read_facts(options.filename).snapshot)
    rules += [each.rule(file) for file, each in found]
    if not rules:
        message = "there is no rule about Kubernetes' audit log; pass some with --falco, --sigma, --elastic or --own"
        raise UsageError(message)
    policy, catalogue = asked_policy(options.policy, options.filename, options), builtin_catalogue()
    judgements = [judge(rule, policy) for rule in rules]
    judged = [(each, enable(each, policy, catalogue)) for each in judgements]
    if options.output == "json":
        print(json.dumps(to_json(judged), indent=2, ensure_ascii=True))
    else:
        sys.stdout.write(to_table(judged))
    return int(any(each.firing in _FAILING[options.fail_on] for each in judgements))


def _rules(pack: str, path: str) -> Iterator[DetectionRule]:
    reader, suffixes = _READERS[pack]
    for file in _files(path, suffixes):
        try:
            yield from reader(read_file(file), file)
        except NotUnderstoodError as error:
            message = f"{file} holds no rules of {pack.capitalize()}: {error}"
            raise UsageError(message) from error


def _files(path: str, suffixes: frozenset[str]) -> list[str]:
    folder = Path(path)
    if not folder.is_dir():
        return [path]
    return [str(each) for each in sorted(folder.rglob("*")) if each.suffix in suffixes and each.is_file()]
