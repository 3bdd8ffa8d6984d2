"""Entries of `resources` that are empty, or have become so."""

from __future__ import annotations

import pytest

from tests.policy.lint.linting import CATCH_ALL, found, lint_rules, the_finding


def test_a_misspelt_key_turns_an_entry_into_a_whole_group() -> None:
    rules = """
    - level: Metadata
      resources:
      - group: machineconfiguration.openshift.io
        resource: [machineconfigs]
    - level: Request
    """
    finding = the_finding(rules, "entry-widened")
    assert (finding.rule, finding.severity, finding.location.line) == (0, "Error", 6)
    assert "machineconfiguration.openshift.io" in finding.message
    assert found(rules, "unknown-key") == [0]


def test_a_misspelt_group_leaves_all_of_core() -> None:
    rules = "- {level: None, resources: [{groups: apps, resource: [deployments]}]}\n" + CATCH_ALL
    assert "core" in the_finding(rules, "entry-widened").message


@pytest.mark.parametrize("entry", ["{}", "null", "{resources: []}"])
def test_an_empty_entry_means_all_of_core(entry: str) -> None:
    assert found(f"- {{level: None, resources: [{entry}]}}\n{CATCH_ALL}", "empty-entry") == [0]


@pytest.mark.parametrize("entry", ['{group: ""}', "{resources: [pods]}", "{group: apps}"])
def test_an_entry_that_says_what_it_means_is_fine(entry: str) -> None:
    ids = {each.id for each in lint_rules(f"- {{level: Metadata, resources: [{entry}]}}\n{CATCH_ALL}")}
    assert not ids & {"empty-entry", "entry-widened"}
