from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from audit_operator.api.kinds import KINDS
from audit_operator.api.parsing import parse_object
from tests.api.objects import sample_documents, sample_files

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = sample_documents()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_a_sample_is_a_valid_object(sample: dict[str, Any]) -> None:
    assert not isinstance(parse_object(sample), tuple)


@pytest.mark.parametrize("file", sample_files(), ids=lambda each: each.name)
def test_a_sample_file_says_what_it_shows(file: Path) -> None:
    assert file.read_text(encoding="utf-8").startswith("# ")


def test_there_is_a_sample_of_every_kind() -> None:
    assert {sample["kind"] for sample in SAMPLES} == set(KINDS)


def test_the_samples_can_be_applied_together() -> None:
    defaults = [sample for sample in SAMPLES if sample["spec"].get("default")]
    assert len(defaults) == 1
