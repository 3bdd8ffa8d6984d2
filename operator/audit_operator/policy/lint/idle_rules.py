"""Rules that decide nothing: those that cannot match, those behind others, and those that could as well be absent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.api.findings import Severity
from audit_operator.policy.lint.check import Check, Report, Subject
from audit_operator.policy.lint.reach import MAX_RULES, outcome

if TYPE_CHECKING:
    from collections.abc import Iterator


def dead_rules(subject: Subject) -> Iterator[Report]:
    """Rules that no request can match."""
    for index in sorted(subject.reach.dead):
        message = "the rule never matches: each of its values, or their combination, excludes every request that exists"
        yield Report(
            message,
            "mend what is reported about its values, or remove the rule",
            index,
            (),
            subject.loss(subject.policy.rules[index]),
        )


def shadowed_rules(subject: Subject) -> Iterator[Report]:
    """Rules behind others that match all they match."""
    rules = subject.policy.rules
    for index, covering in subject.reach.shadowed.items():
        same = all(outcome(subject.policy, rules[each]) == outcome(subject.policy, rules[index]) for each in covering)
        before = f"rule {covering[0]}" if len(covering) == 1 else f"rules {', '.join(map(str, covering))}"
        if same:
            message, mend = f"the rule never decides: {before} matches all of it, with the same result", "remove it"
        else:
            levels = " and ".join(level for level in Level if level in {rules[each].level for each in covering})
            message = f"the rule never decides: {before} matches all of it first, with level {levels}"
            mend = f"move it before rule {covering[0]}, or remove it"
        yield Report(message, mend, index, (), Severity.WARNING if same else None)


def redundant_rules(subject: Subject) -> Iterator[Report]:
    """Rules without which every request would be treated the same."""
    for index, heir in subject.reach.redundant.items():
        reason = "no later rule records what it drops" if heir is None else f"rule {heir} would decide the same"
        yield Report(f"without the rule nothing would change: {reason}", "remove it", index)


def too_many_rules(subject: Subject) -> Iterator[Report]:
    """More rules than are analysed."""
    count = len(subject.policy.rules)
    if count > MAX_RULES:
        yield Report(
            f"the policy has {count} rules; the API server compares each request with them one by one, and only the "
            f"first {MAX_RULES} have been examined for more than wrong values",
            "merge rules that differ in one list only",
        )


CHECKS = (
    Check("dead-rule", Severity.ERROR, "A rule that no request can match", dead_rules),
    Check("shadowed-rule", Severity.ERROR, "A rule behind others that match all it matches", shadowed_rules),
    Check("redundant-rule", Severity.INFO, "A rule without which nothing would change", redundant_rules),
    Check("too-many-rules", Severity.WARNING, "More rules than an API server should compare", too_many_rules),
)
