"""`diff`: what would change, per critical action and in rules."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.cli.asked_policy import AskedPolicy
from audit_operator.cli.offline import add_compilation, compile_objects, print_findings
from audit_operator.cli.policy_file import read_policy
from audit_operator.cli.usage import add_version, namespace
from audit_operator.coverage.comparison import Change, diff_coverage
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.coverage.verdicts import assess
from audit_operator.policy.render import render

if TYPE_CHECKING:
    from audit_operator.coverage.verdicts import ActionCoverage

EXAMPLES = """examples:
  audit-operator diff --to policies/                           the cluster against a folder
  audit-operator diff --from main/ --to branch/                objects in two folders
  audit-operator diff --from-policy running.yaml --to policies/ -n payments
  audit-operator diff --from main/ --to branch/ --fail-on worse -o json
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "diff",
        help="show what would change",
        description="Compare two sets of objects, or audit policies: which critical actions get another verdict, and "
        "how the compiled rules differ.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for side, meaning in (("from", "as it is (default: the cluster's)"), ("to", "as it would be")):
        group = parser.add_mutually_exclusive_group(required=side == "to")
        group.add_argument(f"--{side}", metavar="PATH", action="append", dest=side, help=f"our objects, {meaning}")
        group.add_argument(
            f"--{side}-policy", metavar="FILE", dest=f"{side}_policy", help=f"an audit.k8s.io/v1 Policy, {meaning}"
        )
    parser.add_argument(
        "-n", "--namespace", type=namespace, metavar="NS", help="judge one namespace (default: the whole cluster)"
    )
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text", help="default: text")
    parser.add_argument(
        "--fail-on",
        choices=["worse", "any", "never"],
        default="never",
        help="exit with 1 if an action is covered worse than before, or if anything differs",
    )
    add_compilation(parser)
    add_version(parser)
    parser.set_defaults(run=run)


@dataclass(frozen=True, slots=True)
class Difference:
    """Changed verdicts, and the lines of a unified diff of the rules."""

    changes: tuple[Change, ...]
    lines: tuple[str, ...]


def run(options: argparse.Namespace) -> int:
    """Compare and print."""
    sides = _asked(options, "from"), _asked(options, "to")
    before, after = (each.policy for each in sides)
    catalogue = builtin_catalogue()
    changes = diff_coverage(
        assess(before, catalogue, namespace=options.namespace), assess(after, catalogue, namespace=options.namespace)
    )
    old, new = render(before).splitlines(), render(after).splitlines()
    difference = Difference(changes, tuple(difflib.unified_diff(old, new, "from", "to", lineterm="")))
    if options.output == "json":
        print(json.dumps(_as_json(difference), indent=2, ensure_ascii=False))
    else:
        sys.stdout.write(_as_text(difference))
    worse = any(each.is_worse for each in difference.changes)
    anything = bool(difference.changes or difference.lines)
    if any(each.unreadable for each in sides):
        return 1
    return int({"worse": worse, "any": anything, "never": False}[options.fail_on])


def _asked(options: argparse.Namespace, side: str) -> AskedPolicy:
    file = getattr(options, f"{side}_policy")
    if file:
        return AskedPolicy(read_policy(file, options.kubernetes_version))
    compiled = compile_objects(getattr(options, side), options)
    print_findings(compiled.findings)
    return AskedPolicy(compiled.result.policy, compiled.unreadable)


def _verdict(coverage: ActionCoverage | None) -> str | None:
    return coverage.verdict.value if coverage else None


def _as_json(difference: Difference) -> dict[str, Any]:
    actions = [
        {
            "id": change.action,
            "before": _verdict(change.before),
            "after": _verdict(change.after),
            "worse": change.is_worse,
            "reason": change.after.reason if change.after else "",
        }
        for change in difference.changes
    ]
    return {"actions": actions, "rules": list(difference.lines)}


def _as_text(difference: Difference) -> str:
    lines = []
    for change in difference.changes:
        mark = "worse " if change.is_worse else "      "
        before, after = _verdict(change.before), _verdict(change.after)
        lines.append(f"{mark}{change.action}: {before or 'not judged'} -> {after or 'not judged'}")
    if lines and difference.lines:
        lines.append("")
    lines.extend(difference.lines)
    return "".join(f"{line}\n" for line in lines) or "no difference\n"
