"""What only the text shows: entries of `resources` that are empty, or have become so.

A misspelt key is dropped when the API server reads the policy, and what is left of the entry means something else:
without `resources` the whole group, and without `group` the core group, that is Secrets, Pods and all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.findings import Severity
from audit_operator.policy.lint.check import Check, Report, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.policy.document import JsonValue

KEYS = frozenset({"group", "resources", "resourceNames"})


def _entries(subject: Subject) -> Iterator[tuple[int, int, dict[str, JsonValue]]]:
    """Every entry as written, with the indices of rule and entry; nothing for an entry is an empty one."""
    rules = subject.written.get("rules") if isinstance(subject.written, dict) else None
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        entries = rule.get("resources") if isinstance(rule, dict) else None
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            if entry is None or isinstance(entry, dict):
                yield index, number, entry or {}


def widened_entries(subject: Subject) -> Iterator[Report]:
    """Entries that a misspelt key has turned into a whole group."""
    for index, number, entry in _entries(subject):
        unknown = sorted(entry.keys() - KEYS)
        if unknown and not entry.get("resources"):
            group = entry.get("group") or ""
            what = f'the group "{group}"' if group else "the core group: Secrets, Pods and all"
            yield Report(
                f'the API server ignores "{unknown[0]}", so that the entry means all of {what}',
                'write "resources"' if not group else f'write "resources", or correct "{unknown[0]}"',
                index,
                ("resources", number),
            )


def empty_entries(subject: Subject) -> Iterator[Report]:
    """Entries without group and resources."""
    for index, number, entry in _entries(subject):
        if not entry.keys() - {"resourceNames"} or not any(entry.get(key) for key in entry):
            if "group" in entry:
                continue  # `group: ""` says it
            yield Report(
                "an empty entry means all of the core group: Secrets, Pods and all",
                'write group: "" if that is meant, or else name the resources',
                index,
                ("resources", number),
            )


CHECKS = (
    Check(
        "entry-widened", Severity.ERROR, "An entry that a misspelt key has turned into a whole group", widened_entries
    ),
    Check("empty-entry", Severity.WARNING, "An entry that says nothing and means all of core", empty_entries),
)
