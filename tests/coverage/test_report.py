from __future__ import annotations

import json

import pytest

from audit_operator.api.audit import Level
from audit_operator.api.policy_status import Verdict
from audit_operator.coverage.comparison import diff_coverage
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.coverage.report import to_json, to_table, worst_first
from audit_operator.coverage.suggestions import suggest
from audit_operator.coverage.verdicts import assess
from audit_operator.policy.model import Policy, Rule
from tests.coverage.policies import METADATA, NOTHING_FIRST, POLICIES, REQUEST_RESPONSE

CATALOGUE = builtin_catalogue()


@pytest.mark.parametrize("name", POLICIES)
def test_json_has_the_form_that_scripts_rely_on(name):
    coverage = assess(POLICIES[name], CATALOGUE)
    document = json.loads(json.dumps(to_json(coverage, suggest(POLICIES[name], CATALOGUE))))
    assert document.keys() == {"summary", "actions"}
    summary = document["summary"]
    assert summary.keys() == {"covered", "partial", "gaps", "leaks", "notAuditable"}
    assert sum(summary.values()) == len(document["actions"])
    for row in document["actions"]:
        assert row.keys() >= {"id", "verdict", "level", "wanted", "reason", "rule"}
        if row["verdict"] == "NotAuditable":
            assert (row["level"], row["wanted"], row["rule"]) == (None, None, None)
        else:
            assert (row["verdict"] == "Covered") == ("suggestion" not in row)
            assert (row["verdict"] == "Covered") == ("failing" not in row)


def test_json_tells_leaks_and_missing_stages_apart():
    rows = {row["id"]: row for row in to_json(assess(REQUEST_RESPONSE, CATALOGUE))["actions"]}
    assert rows["token-review"]["failing"][0]["leaks"]
    assert rows["token-review"]["failing"][0]["level"] == "RequestResponse"


def test_the_table_shows_every_action_every_blind_spot_and_the_counts():
    text = to_table(assess(METADATA, CATALOGUE), suggest(METADATA, CATALOGUE))
    for each in (*CATALOGUE.actions, *CATALOGUE.blind_spots):
        assert f"  {each.id}  " in text
    assert text.endswith("43/51 covered, 0 partial, 8 gaps, 0 leaks; 7 that no audit policy can record\n")
    assert "    - level: Request\n" in text


def test_what_is_wrong_stands_first_and_the_most_severe_of_it_at_the_top():
    ordered = worst_first(assess(METADATA, CATALOGUE).actions)
    assert [each.verdict is Verdict.COVERED for each in ordered] == [False] * 8 + [True] * 43
    severities = [each.action.severity.rank for each in ordered[:8]]
    assert severities == sorted(severities, reverse=True)


def test_a_change_for_the_worse_and_one_for_the_better_are_told_apart():
    nothing, everything = assess(NOTHING_FIRST, CATALOGUE), assess(METADATA, CATALOGUE)
    assert all(change.is_worse for change in diff_coverage(everything, nothing) if change.before.verdict != "Gap")
    assert not any(change.is_worse for change in diff_coverage(nothing, everything))


def test_a_new_leak_is_worse_than_a_gap():
    changes = diff_coverage(assess(NOTHING_FIRST, CATALOGUE), assess(REQUEST_RESPONSE, CATALOGUE))
    worse = {change.action for change in changes if change.is_worse}
    assert worse == {each.action.id for each in assess(REQUEST_RESPONSE, CATALOGUE).actions if each.verdict == "Leak"}


def test_equal_coverage_has_no_changes():
    other = Policy((Rule(Level.METADATA, verbs=("get",)), Rule(Level.METADATA)))
    assert not diff_coverage(assess(METADATA, CATALOGUE), assess(other, CATALOGUE))


def test_an_action_that_is_judged_no_more_is_a_change_for_the_worse():
    core = assess(METADATA, CATALOGUE.only_core())
    changes = diff_coverage(assess(METADATA, CATALOGUE), core)
    assert {change.action for change in changes} == {a.id for a in CATALOGUE.actions if not a.core}
    assert all(change.is_worse for change in changes)
    assert not any(change.is_worse for change in diff_coverage(core, assess(METADATA, CATALOGUE)))
