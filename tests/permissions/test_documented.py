"""docs/permissions.md lists the accesses as they are."""

from __future__ import annotations

from pathlib import Path

from audit_operator.permissions.accesses import ACCESSES
from audit_operator.permissions.places import Place

PAGE = Path(__file__).parents[2] / "docs" / "permissions.md"


def test_every_access_is_documented_as_it_is():
    rows = [
        f"| `{each.id}` | {each.title} | {', '.join(sorted(effect.value for effect in each.effects))} "
        f"| {', '.join(place.value for place in Place if place in each.places)} "
        f"| {each.severity.value} | {each.reason} |"
        for each in ACCESSES
    ]
    assert [line for line in PAGE.read_text().splitlines() if line.startswith("| `")] == rows
