"""`permissions`: who may read records, write policies, and switch auditing off."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from audit_operator.api.findings import Severity
from audit_operator.api.text import printable
from audit_operator.cli.from_cluster import add_connection
from audit_operator.cli.permission_facts import permissions_in_files, permissions_of_cluster
from audit_operator.cli.usage import UsageError, add_fail_on, namespace
from audit_operator.permissions.accesses import ACCESSES, Effect
from audit_operator.permissions.evaluation import evaluate
from audit_operator.permissions.expected import Expected, Installation
from audit_operator.permissions.findings import unexpected
from audit_operator.permissions.places import Places, stores_of
from audit_operator.permissions.rbac import GROUP_OF_USERS, SERVICE_ACCOUNT, USER, Subject
from audit_operator.permissions.summary import UNSEEN, holders
from audit_operator.plan.permissions import expected_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from audit_operator.cli.permission_facts import PermissionFacts
    from audit_operator.permissions.evaluation import Holding
    from audit_operator.permissions.findings import Unexpected
    from audit_operator.permissions.summary import Holders

EXAMPLES = """examples:
  audit-operator permissions                               what nobody expects, in the cluster of the kubeconfig
  audit-operator permissions --all                         everybody who may do something, expected or not
  audit-operator permissions --effect disable              who may switch auditing off
  audit-operator permissions -n payments --effect read     who may read what concerns one namespace
  audit-operator permissions --subject Group/dev --all     what one subject may do, and through which binding
  audit-operator permissions --expect Group/platform-team  they are meant to
  audit-operator permissions -f rbac/ -o json | jq .summary
  audit-operator permissions --accesses                    what is looked for, and why

Subjects are User/NAME, Group/NAME or ServiceAccount/NAMESPACE/NAME. Names of people are personal data.
Only RBAC is judged; what it does not show is said with every result.

Exit status: 0, or 1 if there is a finding as severe as --fail-on or worse, 2 for wrong usage.
"""
_TITLES = 4


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "permissions",
        help="who may read records, write policies, and switch auditing off",
        description="Judge the roles and bindings of a cluster, or of files.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        action="append",
        help="file, folder, or - for standard input, with roles, bindings, Namespaces and ClusterAuditSinks (default: "
        "those of the cluster)",
    )
    parser.add_argument("-n", "--namespace", type=namespace, metavar="NAME", help="only what holds in this namespace")
    parser.add_argument("--subject", metavar="SUBJECT", help="only this one; a name alone is any kind")
    parser.add_argument("--access", metavar="ID", action="append", help="only these accesses; --accesses lists them")
    parser.add_argument("--effect", choices=[each.value.lower() for each in Effect], help="only accesses with it")
    parser.add_argument(
        "--expect",
        metavar="SUBJECT",
        action="append",
        default=[],
        help="meant to have its rights, as are those whom control planes name",
    )
    parser.add_argument("--all", action="store_true", help="also what is expected")
    parser.add_argument("--accesses", action="store_true", help="list what is looked for, and why")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text", help="default: text")
    where = parser.add_argument_group("this installation")
    where.add_argument("--operator-namespace", metavar="NAME", default="audit-operator", help="default: audit-operator")
    where.add_argument("--agent-namespace", metavar="NAME", help="default: that of the operator with -agent")
    where.add_argument("--release", metavar="NAME", default="audit-operator", help="full name; default: audit-operator")
    where.add_argument("--service-account", metavar="NAME", default="", help="the operator's (default: the full name)")
    add_fail_on(parser)
    add_connection(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Judge, and say what was found."""
    if options.accesses:
        print(_accesses(options.output))
        return 0
    _check_accesses(options.access or ())
    given = permissions_in_files(options.filename) if options.filename else permissions_of_cluster(options)
    for finding in given.facts.findings:
        print(f"{finding.object or finding.location.file}: {finding.message}", file=sys.stderr)
    holdings = tuple(each for each in _evaluated(given, options) if _wanted(each, options))
    found = tuple(each for each in unexpected(holdings) if _concerns(options.namespace, each.namespaces))
    notes = (*given.notes, *UNSEEN)
    if options.output == "json":
        print(json.dumps(_as_json(holdings, found, notes), indent=2))
    else:
        print(_text(holdings, found, notes, everybody=options.all))
    return _status(found, options.fail_on)


def _evaluated(given: PermissionFacts, options: argparse.Namespace) -> tuple[Holding, ...]:
    agents = options.agent_namespace or f"{options.operator_namespace}-agent"
    installation = Installation(options.operator_namespace, agents, options.release, options.service_account)
    snapshot = given.facts.snapshot
    labels = {each.name: each.labels for each in snapshot.namespaces}
    places = Places(
        frozenset({options.operator_namespace, agents}), stores_of(snapshot.cluster_audit_sinks, labels), labels
    )
    declared = frozenset(map(_subject, options.expect)).union(*map(expected_of, snapshot.control_planes))
    return evaluate(given.rbac, places, Expected(installation, declared))


def _subject(text: str) -> Subject:
    kind, _, name = text.partition("/")
    namespace, _, account = name.partition("/") if kind == SERVICE_ACCOUNT else ("", "", name)
    if (
        kind not in (USER, GROUP_OF_USERS, SERVICE_ACCOUNT)
        or not account
        or (kind == SERVICE_ACCOUNT) != bool(namespace)
    ):
        raise UsageError(f"{text!r} is no subject; write User/NAME, Group/NAME or ServiceAccount/NAMESPACE/NAME")
    return Subject.of(kind, account, namespace)


def _check_accesses(wanted: Iterable[str]) -> None:
    if unknown := sorted(set(wanted) - {each.id for each in ACCESSES}):
        raise UsageError(f"there is no access {', '.join(unknown)}; --accesses lists them")


def _wanted(holding: Holding, options: argparse.Namespace) -> bool:
    if options.access and holding.access.id not in options.access:
        return False
    if options.effect and Effect(options.effect.capitalize()) not in holding.access.effects:
        return False
    if options.subject and "/" in options.subject and holding.subject != _subject(options.subject):
        return False
    if options.subject and "/" not in options.subject and holding.subject.name != options.subject:
        return False
    return _concerns(options.namespace, [each.namespace for each in holding.grants])


def _concerns(wanted: str | None, namespaces: Sequence[str]) -> bool:
    return not wanted or not namespaces or bool({wanted, ""} & set(namespaces))


def _status(found: Iterable[Unexpected], fail_on: str) -> int:
    if fail_on == "never":
        return 0
    least = Severity(fail_on.capitalize()).rank
    return int(any(each.severity.rank >= least for each in found))


def _as_json(holdings: Iterable[Holding], found: Iterable[Unexpected], notes: Iterable[str]) -> dict[str, Any]:
    return {
        "summary": {
            effect.value.lower(): {"subjects": each.subjects, "unexpected": each.unexpected}
            for effect, each in holders(holdings, found).items()
        },
        "findings": [_finding(each) for each in found],
        "holdings": [_holding(each) for each in holdings],
        "unseen": list(notes),
    }


def _finding(found: Unexpected) -> dict[str, Any]:
    return {
        "severity": found.severity.value,
        "subject": str(found.subject),
        "accesses": [each.id for each in found.accesses],
        "effects": sorted(each.value for each in found.effects),
        "namespaces": list(found.namespaces),
        "bindings": list(map(str, found.bindings)),
        "role": str(found.role),
        "names": list(found.names),
        "mend": found.accesses[0].mend,
    }


def _holding(holding: Holding) -> dict[str, Any]:
    return {
        "subject": str(holding.subject),
        "access": holding.access.id,
        "effects": sorted(each.value for each in holding.access.effects),
        "expected": holding.expected,
        "grants": [
            {
                "namespace": each.namespace,
                "binding": str(each.binding),
                "role": str(each.role),
                "names": sorted(each.names),
                "expected": each.expected,
            }
            for each in holding.grants
        ],
    }


def _text(holdings: Iterable[Holding], found: Sequence[Unexpected], notes: Iterable[str], *, everybody: bool) -> str:
    lines = [line for each in found for line in _block(each)]
    if everybody:
        lines += ["", *_table(holdings)]
    lines += ["", *_counts(holders(holdings, found)), "", "not to be seen here:"]
    # Names of users are whatever somebody has written into a binding.
    return "\n".join(map(printable, [*(lines if found else lines[1:]), *(f"  {each}" for each in notes)]))


def _block(found: Unexpected) -> list[str]:
    named = f", for {', '.join(found.names)} alone" if found.names else ""
    shown = found.accesses[:_TITLES]
    more = len(found.accesses) - len(shown)
    return [
        f"{found.severity.lower()}: {found.subject}, {found.where}, through {found.through}{named}, may",
        *(f"    {each.title} [{each.id}]: {each.reason}" for each in shown),
        *([f"    and {more} more"] if more else []),
        f"  mend: {shown[0].mend}; or say that they are meant to: --expect {_option(found.subject)}",
    ]


def _option(subject: Subject) -> str:
    return "/".join(filter(None, (subject.kind, subject.namespace, subject.name)))


def _counts(counts: Mapping[Effect, Holders]) -> list[str]:
    words = {Effect.READ: "read", Effect.WRITE: "write policies", Effect.DISABLE: "switch auditing off"}
    return [
        f"{each.subjects} may {words[effect]}, {each.unexpected} of them unexpected" for effect, each in counts.items()
    ]


def _table(holdings: Iterable[Holding]) -> list[str]:
    rows = [("SUBJECT", "ACCESS", "WHERE", "THROUGH", "EXPECTED")]
    for holding in holdings:
        for each in holding.grants:
            where, through = each.namespace or "everywhere", f"{each.binding} to {each.role}"
            rows.append((str(holding.subject), holding.access.id, where, through, each.expected or "no"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _accesses(output: str) -> str:
    if output == "json":
        return json.dumps(
            [
                {
                    "id": each.id,
                    "title": each.title,
                    "severity": each.severity.value,
                    "effects": sorted(effect.value for effect in each.effects),
                    "places": sorted(place.value for place in each.places),
                    "reason": each.reason,
                    "mend": each.mend,
                }
                for each in ACCESSES
            ],
            indent=2,
        )
    return "\n".join(
        f"{each.id}: {each.title} ({', '.join(sorted(effect.value for effect in each.effects))})\n    {each.reason}"
        for each in ACCESSES
    )
