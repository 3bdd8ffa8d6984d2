"""`docs/integrity.md`: every kind of finding with its severity, and no other."""

import re
from pathlib import Path

from audit_operator.integrity.discovery import Kind

TEXT = (Path(__file__).parents[2] / "docs" / "integrity.md").read_text(encoding="utf-8")


def test_every_finding_is_documented_with_its_severity():
    documented = re.findall(r"^\| `([a-z-]+)` \| ([A-Za-z]+) \| \S", TEXT, re.MULTILINE)
    assert documented == [(each.value, each.severity.value) for each in Kind]
