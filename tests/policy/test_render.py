"""Rendered policies are read back as what they were."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.audit import Level
from audit_operator.policy.model import Policy, Rule
from audit_operator.policy.render import render


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=4))
def test_any_string_is_read_back_as_itself(values):
    text = render(Policy((Rule(Level.METADATA, users=tuple(values)),)))
    assert yaml.safe_load(text)["rules"][0]["users"] == values


@pytest.mark.parametrize(
    "value", ["yes", "No", "null", "1", "012", "12:30", "~", "", "a:", "- a", "*", "&a", "2024-01-01", "=", "<<"]
)
def test_what_yaml_would_read_as_something_else_is_quoted(value):
    text = render(Policy((Rule(Level.METADATA, users=(value,)),)))
    assert yaml.safe_load(text)["rules"][0]["users"] == [value]
    assert f'"{value}"' in text


def test_a_long_namespace_list_is_written_once():
    names = tuple(f"team-{number}" for number in range(20))
    policy = Policy((Rule(Level.REQUEST, verbs=("create",), namespaces=names), Rule(Level.METADATA, namespaces=names)))
    text = render(policy)
    assert text.count("team-7") == 1
    assert [rule["namespaces"] for rule in yaml.safe_load(text)["rules"]] == [list(names)] * 2


def test_lists_are_written_out_where_the_parser_would_take_aliases_for_an_attack():
    names = tuple(f"n{number}" for number in range(2000))
    rules = tuple(Rule(Level.REQUEST, verbs=(f"v{number}",), namespaces=names) for number in range(200))
    assert "&ns1" not in render(Policy(rules))


def test_a_policy_is_written_for_people():
    text = render(Policy((Rule(Level.METADATA),)))
    assert text == "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
