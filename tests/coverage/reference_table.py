"""The table of published policies in docs/coverage.md: `python -m tests.coverage.reference_table` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from audit_operator.api.policy_status import Verdict
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.coverage.verdicts import assess
from tests.coverage.policies import METADATA, REFERENCE, REQUEST_RESPONSE

PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"
TABLE = re.compile(r"(?<=<!-- reference policies -->\n).*?(?=<!-- end -->)", re.DOTALL)

_JUDGED = (Verdict.COVERED, Verdict.PARTIAL, Verdict.GAP, Verdict.LEAK)
_EXTREMES = {"`Metadata` for everything": METADATA, "`RequestResponse` for everything": REQUEST_RESPONSE}
_MOST_SHOWN = 12


def table() -> str:
    """The table as Markdown."""
    lines = [
        "| policy | core, samples only | core | all | of the core not covered |",
        "|---|---|---|---|---|",
    ]
    core = builtin_catalogue().only_core()
    for name, policy in {**_EXTREMES, **REFERENCE}.items():
        judged = assess(policy, core)
        samples, everything = assess(policy, core, follow_names=False), assess(policy, builtin_catalogue())
        lines.append(
            f"| {name} | {_counts(samples)} | {_counts(judged)} | {_counts(everything)} | {_missing(judged)} |"
        )
    return "\n".join([*lines, ""])


def _counts(coverage) -> str:
    return "/".join(str(coverage.count(verdict)) for verdict in _JUDGED)


def _missing(coverage) -> str:
    parts = []
    for verdict in (Verdict.LEAK, Verdict.GAP, Verdict.PARTIAL):
        listed = [each.action.id for each in coverage.actions if each.verdict is verdict]
        if len(listed) > _MOST_SHOWN:
            parts.append(f"{verdict}: {len(listed)} actions")
        elif listed:
            parts.append(f"{verdict}: {', '.join(listed)}")
    return "; ".join(parts) or "-"


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text()))
