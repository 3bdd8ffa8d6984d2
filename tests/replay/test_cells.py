from __future__ import annotations

import json
from dataclasses import asdict, replace
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.attributes import request_from_event
from audit_operator.policy.model import Policy, Request, Rule
from audit_operator.replay import cells as module
from audit_operator.replay.cells import Cells, merged
from audit_operator.replay.outcome import replay
from audit_operator.replay.vocabulary import vocabulary_of
from tests.examples import examples
from tests.integration.shipping.audit_events import event_of
from tests.policy.strategies import policies, requests
from tests.replay.logs import counted, event, line, one_by_one

EVERYTHING = Policy((Rule(Level.METADATA),))
levels = st.sampled_from([each for each in Level if each is not Level.NONE])
logs = st.lists(st.builds(event_of, requests(), st.sampled_from(list(Stage)), levels, st.just("id")), max_size=12).map(
    lambda events: [each for each in events if each]
)


def by_rule_and_level(cells, policy):
    outcome = replay(cells, policy)
    return {number: amount.events for number, amount in outcome.by_rule.items() if amount.events}


def expected(events, policy):
    found = {}
    for (rule, _), number in one_by_one(events, policy).items():
        found[rule] = found.get(rule, 0) + number
    return found


@settings(max_examples=examples(100))
@given(logs, policies(), policies())
def test_policies_asked_about_counts_answer_as_if_asked_about_each_event(events, policy, other):
    cells = counted(events, policy, other)
    assert by_rule_and_level(cells, policy) == expected(events, policy)
    assert by_rule_and_level(cells, other) == expected(events, other)
    assert cells.events == len(events)


@settings(max_examples=examples(100))
@given(logs, policies(), st.integers(0, 3))
def test_where_there_are_too_many_callers_and_places_the_answers_are_the_same(events, policy, most):
    with mock.patch.object(module, "MOST_CELLS", most):
        cells = counted(events, policy)
        halves = counted(events[::2], policy), counted(events[1::2], policy)
        joined = merged(halves, vocabulary_of([policy]))
    for each in (cells, joined):
        assert by_rule_and_level(each, policy) == expected(events, policy)
        assert each.events == len(events)


SEGMENTS = [
    "api",
    "apis",
    "v1",
    "apps",
    "namespaces",
    "web",
    "pods",
    "x",
    "status",
    "finalize",
    "log",
    "",
    "a%2Fb",
    "watch",
]


@settings(max_examples=examples(300))
@given(
    st.lists(st.sampled_from(SEGMENTS), max_size=10),
    st.sampled_from(["", "?fieldSelector=metadata.name%3Dx", "?a=/b/c"]),
)
def test_a_place_is_what_the_policy_sees_whatever_was_remembered_before(segments, query):
    policy = Policy((Rule(Level.METADATA),))
    cells = Cells(vocabulary_of([policy]))
    for name in ("x", "y"):
        uri = "/" + "/".join(name if each == "x" else each for each in segments) + query
        whole = event(uri=uri)
        seen = request_from_event(whole)
        alone = counted([whole], policy)
        cells.add(line(whole))
        if not isinstance(seen, Request):
            assert alone.unreadable == 1
            continue
        [cell] = alone.counts
        assert cell in cells.counts
        about = {"verb", "resource_request", "api_group", "namespace", "resource", "subresource"}
        got, wanted = asdict(cell.request), asdict(seen)
        assert {key: got[key] for key in about} == {key: wanted[key] for key in about}


def test_a_name_is_kept_where_a_policy_speaks_of_it_and_only_there():
    policy = Policy((Rule(Level.METADATA),))
    with_names = Cells(replace(vocabulary_of([policy]), names=frozenset({"x"})))
    for name in ("x", "y", "z"):
        with_names.add(line(event(uri=f"/api/v1/namespaces/web/pods/{name}")))
    assert sorted(cell.place.name for cell in with_names.counts) == ["", "x"]
    selected = event("list", "/api/v1/namespaces/web/pods?fieldSelector=metadata.name%3Dx")
    with_names.add(line(selected))
    assert {cell.place.name for cell in with_names.counts if cell.place.verb == "list"} == {"x"}


def test_sizes_are_those_of_the_line_and_of_its_bodies():
    body = {"kind": "Thing", "spec": {"ä": [1, 2.5, None]}}
    whole = event("create", requestObject=body, responseObject=body, level="RequestResponse")
    text = json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()
    without = json.dumps(
        {key: value for key, value in whole.items() if not key.endswith("Object")}, separators=(",", ":")
    ).encode()
    cells = counted([], EVERYTHING)
    cells.add(text)
    [counts] = cells.counts.values()
    assert counts.size == len(text)
    assert counts.size - counts.request - counts.response == len(without)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "no JSON"),
        (b"[" * 200_000, "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[]", "no event: not an object"),
        (line(event(level="Low")), "an event needs a level and a stage"),
        (line(event(stage=3)), "an event needs a level and a stage"),
        (line({**event(), "verb": None}), "an event needs a verb, a requestURI and a user"),
        (line({**event(), "user": {"groups": [None]}}), "groups of an event's user are strings"),
    ],
)
def test_a_line_that_is_no_event_is_counted_as_such_and_none_of_its_text_is_kept(content, reason):
    cells = counted([event()], EVERYTHING)
    cells.add(content, "audit.log", 7)
    assert (cells.unreadable, cells.events) == (1, 1)
    assert cells.first_unreadable == [("audit.log", 7, reason)]


def test_a_path_whose_percent_encoding_is_broken_is_unreadable():
    cells = counted([event(uri="/api/v1/%zz")], EVERYTHING)
    assert cells.unreadable == 1


def test_what_only_jsons_own_reader_understands_is_counted_all_the_same():
    cells = counted([], EVERYTHING)
    cells.add(line(event(user="\ud800")))
    [cell] = cells.counts
    assert cell.user == "\ud800"
    assert cells.first == cells.last == "2026-11-28T07:00:00.000001Z"


def test_an_empty_user_is_a_failed_authentication():
    cells = counted([event(user=None), event(user="", groups=["dev"])], EVERYTHING)
    assert {(cell.user, cell.groups) for cell in cells.counts} == {(None, ()), ("", ("dev",))}


def test_the_first_and_the_last_time_are_remembered_across_parts():
    times = [f"2026-11-28T0{hour}:00:00Z" for hour in (5, 3, 9)]
    parts = [counted([event(stageTimestamp=each)], EVERYTHING) for each in times]
    whole = merged(parts, vocabulary_of([EVERYTHING]))
    assert (whole.first, whole.last) == (times[1], times[2])
