"""What an event loses, and what it never does."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.shipping.redaction.interpreter import apply
from audit_operator.shipping.redaction.own_pattern import GROWN_BY, OwnPattern
from audit_operator.shipping.redaction.pseudonyms import PseudonymKey
from tests.examples import examples, some
from tests.shipping.redaction.corpus import (
    ANYWHERE,
    BY_DEFAULT,
    DEFAULT,
    EVERYTHING,
    NOTHING,
    OF_SECRETS,
    event,
    harmless,
    hostile,
    leaks,
    line_of,
    opaque,
    secret_object,
    widget,
)
from tests.shipping.redaction.own_patterns import FITTING, GROWING

PSEUDONYMOUS = replace(EVERYTHING, pseudonymize=frozenset(PseudonymizedField))
LEAKS = list(leaks())
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
OWN_FIELDS = ("auditID", "verb", "stage", "level", "objectRef", "kind", "apiVersion", "stageTimestamp")

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
objects = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("kind", "metadata", "data", "stringData", "spec", "status", "items", "rows", "message", "details"), json_values
    ),
)
references = st.fixed_dictionaries({"resource": st.sampled_from(["secrets", "pods", "tokenreviews"])})
hostile_events = st.fixed_dictionaries(
    {"auditID": st.text(), "verb": st.text()},
    optional={
        "objectRef": st.fixed_dictionaries({"resource": st.sampled_from(["secrets", "pods", "tokenreviews"])})
        | json_values,
        "requestURI": st.text() | st.sampled_from(["/x?token=a&command=b c&command=d", "/a%3f"]) | json_values,
        "user": st.fixed_dictionaries({"username": st.text()}) | json_values,
        "sourceIPs": st.lists(st.text()) | json_values,
        "annotations": st.dictionaries(st.text(), st.text()) | json_values,
        "responseStatus": objects | json_values,
        "requestObject": objects | json_values,
        "responseObject": objects | json_values,
    },
)
demands = st.sampled_from([NOTHING, DEFAULT, EVERYTHING, PSEUDONYMOUS])


def test_the_corpus_is_large_and_plants_what_it_says():
    assert len({leak.secret for leak in LEAKS}) >= 400
    assert [leak.name for leak in LEAKS if not leak.found_in(leak.text)] == []
    assert len(list(harmless())) >= 1000


@cache
def by_line():
    """What each event with a leak becomes, as a line is redacted."""
    return [apply(leak.event, leak.demand, line=leak.text).event for leak in LEAKS]


@cache
def by_event():
    """The same, without a line to go by."""
    return [apply(leak.event, leak.demand).event for leak in LEAKS]


def test_no_planted_secret_gets_through():
    through = [leak.name for leak, redacted in zip(LEAKS, by_line(), strict=True) if leak.found_in(line_of(redacted))]
    assert through == []


def test_the_line_only_decides_what_is_looked_into():
    for leak, with_line, without in zip(LEAKS, by_line(), by_event(), strict=True):
        assert with_line == without or leak.name == "a field that stands twice", leak.name


def test_harmless_values_stay():
    touched = [each.value for each in harmless() if apply(each.event, EVERYTHING).event != each.event]
    assert len(touched) <= 12, touched


@pytest.mark.parametrize("places", [OF_SECRETS, BY_DEFAULT, ANYWHERE])
def test_what_is_taken_out_is_said(places):
    for name, plant in places.items():
        original = plant(opaque(1))
        redacted = apply(original, DEFAULT)
        assert bool(redacted.removals) == (redacted.event != original), name


def test_keys_and_names_of_a_secret_stay():
    redacted = apply(
        event("secrets", requestObject=secret_object(type="Opaque", data={"password": "eA=="}, immutable=True)), NOTHING
    ).event
    assert redacted["requestObject"] == secret_object(type="Opaque", data={"password": "[REDACTED]"}, immutable=True)


@pytest.mark.parametrize(
    "message",
    [
        'secrets "db" not found',
        'secrets "db" already exists',
        'Operation cannot be fulfilled on secrets "db": ' + MODIFIED,
        'secrets "db" is forbidden: User "dora" cannot get resource "secrets" in API group "" in the namespace "shop"',
        'secrets is forbidden: User "dora" cannot list resource "secrets" in API group "" at the cluster scope',
    ],
)
def test_messages_about_secrets_that_repeat_nothing_stay(message):
    original = event("secrets", verb="get", responseStatus={"code": 404, "message": message})
    assert apply(original, DEFAULT).event == original
    spoilt = event("secrets", verb="get", responseStatus={"code": 404, "message": message + "\n"})
    assert apply(spoilt, DEFAULT).event["responseStatus"]["message"] == "[REDACTED]"


def test_a_list_of_secrets_says_how_many():
    answer = {"kind": "SecretList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [{}, {}, {}]}
    redacted = apply(event("secrets", verb="list", responseObject=answer), NOTHING).event
    assert redacted["responseObject"] == {**answer, "items": "[REDACTED: 3 items]"}


def test_config_maps_and_command_lines_stay_where_nobody_asks():
    config_map = event("configmaps", requestObject={"kind": "ConfigMap", "data": {"a": "b"}})
    command = event(subresource="exec", requestURI="/x/exec?command=sh&command=-c&command=ls")
    assert apply(config_map, NOTHING).event == config_map
    assert apply(command, NOTHING).event == command


def test_the_program_of_a_command_line_stays():
    command = event(subresource="exec", requestURI="/x/exec?command=/bin/sh&command=-c&command=ls&tty=true")
    redacted = apply(command, DEFAULT).event["requestURI"]
    assert redacted == "/x/exec?command=/bin/sh&command=[REDACTED]&command=[REDACTED]&tty=true"


@given(hostile_events, demands)
@settings(max_examples=examples(400))
def test_no_shape_is_too_hostile(original, demand):
    once = apply(original, demand, key=PseudonymKey.of("k")).event
    assert apply(once, demand, key=PseudonymKey.of("k")).event == once


@given(hostile_events, st.sampled_from([NOTHING, DEFAULT, EVERYTHING]))
@settings(max_examples=examples(200))
def test_who_did_what_stays(original, demand):
    redacted = apply(original, demand).event
    for name in (*OWN_FIELDS, "user", "sourceIPs"):
        assert redacted.get(name) == original.get(name)
        assert (name in redacted) == (name in original)


def test_redacting_twice_is_redacting_once():
    for leak, once in some(list(zip(LEAKS, by_event(), strict=True))):
        assert apply(once, leak.demand).event == once, leak.name


def test_hostile_events_are_redacted_once_and_for_all():
    for number, original in enumerate(hostile()):
        if number % 7 == 0:
            once = apply(original, PSEUDONYMOUS, key=PseudonymKey.of("k")).event
            assert apply(once, PSEUDONYMOUS, key=PseudonymKey.of("k")).event == once


def test_the_original_is_not_changed():
    for leak in some(LEAKS):
        before = json.dumps(leak.event)
        apply(leak.event, leak.demand)
        assert json.dumps(leak.event) == before, leak.name


def test_what_own_patterns_break_is_replaced_whole():
    breaks = OwnPattern.parse("breaks", '":"[^}]*', "")
    assert isinstance(breaks, OwnPattern)
    original = event("widgets", requestObject=widget(spec={"a": "b"}))
    redacted = apply(original, replace(NOTHING, patterns=(breaks,))).event
    assert redacted == {**original, "requestObject": "[REDACTED]"}


def test_own_patterns_reach_nothing_but_objects():
    wide = OwnPattern.parse("wide", "[a-zA-Z0-9]{2,}", "x")
    assert isinstance(wide, OwnPattern)
    original = event("pods", "log", verb="get")
    assert apply(original, replace(NOTHING, patterns=(wide,))).event == original


def test_profiles_are_independent():
    for profile in RedactionProfile:
        only = replace(NOTHING, profiles=frozenset({profile}))
        mine = [leak for leak in LEAKS if leak.found_in(line_of(apply(leak.event, NOTHING, line=leak.text).event))]
        assert any(not leak.found_in(line_of(apply(leak.event, only, line=leak.text).event)) for leak in mine), profile


def own_of(text, *patterns):
    return apply(event("widgets", responseObject=text), replace(NOTHING, tenants=patterns)).event["responseObject"]


@given(st.text("bcdé", max_size=200), st.permutations(GROWING))
def test_patterns_together_make_a_text_at_most_so_much_longer(text, patterns):
    """Without a bound each of them made it 64 times as long, and a collector of 600 bytes took 1.5 GB after three."""
    assert len(own_of(text, *patterns).encode()) <= 2 * len(text.encode()) + GROWN_BY


@pytest.mark.parametrize(("some", "most"), FITTING.items())
def test_where_replacements_would_make_a_text_too_long_a_star_takes_their_place(some, most):
    digits = OwnPattern("x", "[0-9]", "[REDACTED]")
    assert own_of(some * most, digits) == some.replace("0", "[REDACTED]") * most
    assert own_of(some * (most + 1), digits) == some.replace("0", "*") * (most + 1)


def test_a_large_body_gets_the_replacement_that_was_asked_for():
    text = "an order ID7 of many, " * 50_000
    marked = OwnPattern("x", "ID[0-9]", "[REDACTED BY THE PAYMENTS TEAM]")
    assert own_of(text, marked) == text.replace("ID7", "*")
    assert own_of(text, replace(marked, replacement="[REDACTED]")) == text.replace("ID7", "[REDACTED]")
    assert own_of(f"{text}ID8", replace(marked, regex="ID8")) == f"{text}[REDACTED BY THE PAYMENTS TEAM]"


def test_single_characters_may_be_taken_out_everywhere():
    assert own_of("0" * 2**20, OwnPattern("x", "0", "")) == ""
    assert own_of("0" * 2**20, OwnPattern("x", "0", "$")) == "$" * 2**20
