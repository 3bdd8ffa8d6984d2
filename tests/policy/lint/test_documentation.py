"""`docs/lint.md`: a section for every id, with its severity, an example that it reports and a mend that it does not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit_operator.policy.lint import CHECKS, Check, lint_text
from tests.policy.lint.linting import policy_text

TEXT = (Path(__file__).parents[3] / "docs" / "lint.md").read_text(encoding="utf-8")

OF_THE_TEXT = {
    "unknown-key",
    "duplicate-key",
    "further-document",
    "decode",
    "version",
    "validation",
    "no-rules",
    "nothing-to-lint",
}
"""What is reported about a text before there is a policy to check."""


@dataclass(frozen=True)
class Section:
    id: str
    severity: str
    body: str

    @property
    def examples(self) -> list[str]:
        blocks = re.findall(r"```yaml\n(.*?)```", self.body, re.DOTALL)
        return [
            block if block.startswith("apiVersion") else policy_text(block + "\n- level: Metadata") for block in blocks
        ]


SECTIONS = {
    heading[1]: Section(heading[1], heading[2], body)
    for heading, body in zip(
        re.finditer(r"^### (\S+) · (\w+)$", TEXT, re.MULTILINE),
        re.split(r"^### .*$", TEXT, flags=re.MULTILINE)[1:],
        strict=True,
    )
}


def ids(text: str) -> set[str]:
    return {finding.id for finding in lint_text(text)}


def test_every_id_has_a_section_and_every_section_an_id() -> None:
    assert SECTIONS.keys() == {check.id for check in CHECKS} | OF_THE_TEXT


def test_no_id_is_used_twice() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_the_severity_is_told(check: Check) -> None:
    assert SECTIONS[check.id].severity == check.severity


@pytest.mark.parametrize(
    "section", [each for each in SECTIONS.values() if each.examples], ids=lambda section: section.id
)
def test_the_example_is_reported_and_its_mend_is_not(section: Section) -> None:
    example, *mends = section.examples
    assert section.id in ids(example)
    for mend in mends:
        assert section.id not in ids(mend)


def test_nearly_every_section_has_an_example() -> None:
    assert {each.id for each in SECTIONS.values() if not each.examples} == {"too-many-rules"}
