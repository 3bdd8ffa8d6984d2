"""What is written for the collector can be read again, as it was and as YAML has it."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.shipping.collector.yaml_text import parsed, yaml_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES, max_size=4))
def test_what_is_written_is_read_again(document):
    assert parsed(yaml_text(document)) == document


def test_what_escapes_look_like_is_no_escape():
    document = {"a": "\\U0001f600 \U0001f600 \\\\U00000041", "\U0001f600": "\u2028"}
    text = yaml_text(document)
    assert parsed(text) == document == yaml.safe_load(text)


@pytest.mark.parametrize("text", ["a: 1\n", "? 1\n", '? "a"\n? "b"\n', "nonsense"])
def test_what_is_laid_out_otherwise_is_not_guessed_at(text):
    with pytest.raises(ValueError, match=r"laid out|Expecting"):
        parsed(text)
