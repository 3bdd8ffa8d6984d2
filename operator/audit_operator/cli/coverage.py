"""`coverage`: the verdict on every critical action, for a policy file or for our objects."""

from __future__ import annotations

import argparse
import json
import sys

from audit_operator.api.policy_status import Verdict
from audit_operator.cli.asked_policy import add_policy_source, asked_policy
from audit_operator.cli.inputs import read_file
from audit_operator.cli.offline import add_compilation, print_findings
from audit_operator.cli.usage import UsageError, add_version, namespace
from audit_operator.coverage.catalogue import Catalogue
from audit_operator.coverage.loading import builtin_catalogue, load_catalogue
from audit_operator.coverage.merging import merge
from audit_operator.coverage.report import to_json, to_table
from audit_operator.coverage.suggestions import suggest
from audit_operator.coverage.verdicts import Coverage, assess

EXAMPLES = """examples:
  audit-operator coverage --policy /etc/kubernetes/audit-policy.yaml
  kubectl audit-policy coverage -n payments                    what the cluster's objects cover
  audit-operator coverage -f policies/ -n payments             one namespace
  audit-operator coverage -f policies/ -o json --fail-on gap
  audit-operator coverage --policy audit-policy.yaml --catalogue ours.yaml
"""
_FAILING = {
    "leak": {Verdict.LEAK},
    "gap": {Verdict.LEAK, Verdict.GAP},
    "partial": {Verdict.LEAK, Verdict.GAP, Verdict.PARTIAL},
    "never": set[Verdict](),
}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "coverage",
        help="judge which critical actions are recorded",
        description="Judge for every critical action whether it is recorded as needed (covered), for some requests "
        "only (partial), not enough (gap), or more than is safe (leak). What no audit policy can see is listed as not "
        "auditable.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_policy_source(parser)
    parser.add_argument(
        "-n", "--namespace", type=namespace, metavar="NS", help="judge one namespace (default: the whole cluster)"
    )
    parser.add_argument("--catalogue", metavar="FILE", action="append", default=[], help="critical actions of your own")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table", help="default: table")
    parser.add_argument(
        "--fail-on", choices=list(_FAILING), default="never", help="exit with 1 at such a verdict or a worse one"
    )
    add_compilation(parser)
    add_version(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Judge and print."""
    catalogue = _catalogue(options.catalogue)
    asked = asked_policy(options.policy, options.filename, options)
    coverage = assess(asked.policy, catalogue, namespace=options.namespace)
    suggestions = suggest(asked.policy, catalogue, namespace=options.namespace)
    if options.output == "json":
        print(json.dumps(to_json(coverage, suggestions), indent=2, ensure_ascii=False))
    else:
        sys.stdout.write(to_table(coverage, suggestions))
    return 1 if asked.unreadable else exit_status(coverage, options.fail_on)


def exit_status(coverage: Coverage, fail_on: str) -> int:
    """1 if an action's verdict is as bad as `fail_on`, or worse."""
    return int(any(each.verdict in _FAILING[fail_on] for each in coverage.actions))


def _catalogue(files: list[str]) -> Catalogue:
    catalogue = builtin_catalogue()
    for file in files:
        addition = load_catalogue(read_file(file), file=file)
        merged = merge(catalogue, addition) if isinstance(addition, Catalogue) else addition
        if not isinstance(merged, Catalogue):
            print_findings(merged)
            message = f"{file} is no catalogue of critical actions"
            raise UsageError(message)
        catalogue = merged
    return catalogue
