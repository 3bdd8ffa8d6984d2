"""docs/sinks.md says what every attribute of a record means."""

from __future__ import annotations

from pathlib import Path

from audit_operator.shipping.collector.attributes import SHIPPED

PAGE = Path(__file__).parents[2] / "docs" / "sinks.md"


def test_every_attribute_of_a_record_is_explained():
    page = PAGE.read_text(encoding="utf-8")
    table = page.partition("| attribute | what it says |")[2].partition("\n\n")[0]
    assert [name for name in SHIPPED if f"`{name}`" not in table] == []
