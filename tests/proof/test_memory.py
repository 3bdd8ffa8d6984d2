"""What was proved comes back as it was, or not at all."""

from __future__ import annotations

import base64
import zlib
from datetime import date
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.findings import ObjectRef
from audit_operator.api.policy_status import ProofOutcome
from audit_operator.api.proof_observations import ActionProof, PlaceProof, Tally
from audit_operator.proof.comparison import Compared, Outcome
from audit_operator.proof.memory import (
    LONGEST,
    MemoryUnreadableError,
    RememberedCount,
    RememberedPlace,
    RememberedPlane,
    RememberedWay,
    decode,
    encode,
)
from audit_operator.proof.standing import Result

NOW = 1_800_000_000.0
PLENTY = 10**6
CENTRAL, OWN = ObjectRef("ClusterAuditSink", "central"), ObjectRef("AuditSink", "own", "payments")
SINKS = st.sampled_from([CENTRAL, OWN])
TEXT = st.text(max_size=20)
COMPARED = st.builds(Compared, st.sampled_from(list(Outcome)), TEXT, TEXT, TEXT, st.integers(0, 3))
RESULTS = st.builds(
    Result, st.dictionaries(SINKS, COMPARED | TEXT, max_size=2), TEXT, st.integers(0, int(NOW)).map(float)
)
PROOFS = st.builds(
    PlaceProof,
    st.frozensets(TEXT, max_size=4),
    st.lists(
        st.builds(ActionProof, TEXT, st.sampled_from(list(ProofOutcome)), TEXT, st.none() | SINKS), max_size=3
    ).map(tuple),
    st.lists(
        st.builds(Tally, SINKS, st.integers(0, 90), st.integers(0, 9), st.frozensets(TEXT, max_size=2)), max_size=2
    ).map(tuple),
    st.none() | st.dates(),
)
VISITS = st.integers(int(NOW) - LONGEST + 1, int(NOW)).map(float)
PLACES = st.builds(
    RememberedPlace,
    TEXT, TEXT, VISITS, st.integers(0, 10**6), PROOFS, st.dictionaries(st.integers(0, 90), RESULTS, max_size=5),
)  # fmt: skip


NUMBERS = st.integers(0, 10**6)
WAYS = st.builds(
    RememberedWay,
    SINKS,
    st.lists(
        st.tuples(NUMBERS, NUMBERS, NUMBERS, st.lists(st.tuples(NUMBERS, NUMBERS), max_size=2).map(tuple)), max_size=3
    ).map(tuple),
)
COUNTS = st.builds(RememberedCount, TEXT, TEXT, st.floats(0, 2e9), NUMBERS, NUMBERS, NUMBERS)
PLANES = st.builds(
    RememberedPlane,
    st.dictionaries(TEXT, PLACES, max_size=4),
    st.lists(WAYS, max_size=2).map(tuple),
    st.lists(COUNTS, max_size=2).map(tuple),
)


@given(PLANES)
def test_everything_comes_back(plane):
    assert decode(encode(plane, PLENTY), NOW) == plane


def test_what_was_counted_of_too_many_ways_is_left_out_and_proof_stays():
    hours = tuple((number, number * 7919 % 10007, number * 104729 % 99991, ()) for number in range(24))
    ways = tuple(RememberedWay(ObjectRef("AuditSink", f"s{number}", f"n{number}"), hours) for number in range(300))
    plane = RememberedPlane({"n": place(1)}, ways)
    assert decode(encode(plane, PLENTY), NOW) == plane
    assert decode(encode(plane, 3000), NOW) == RememberedPlane({"n": place(1)})


@cache
def verified_at(visited):
    return {each: Result({CENTRAL: Compared(Outcome.VERIFIED)}, at=visited) for each in range(40)}


def place(number, visited=NOW):
    actions = frozenset(f"action-{each}" for each in range(38))
    proof = PlaceProof(actions, (), (Tally(CENTRAL, 40, 0, actions),), date(2026, 1, 1))
    return RememberedPlace(f"treated-{number}", f"{number:024x}", visited, 1, proof, verified_at(visited))


def test_ten_thousand_namespaces_fit_into_one_object():
    places = {f"a-namespace-of-some-length-{number}": place(number, NOW - number % 100) for number in range(10_000)}
    text = encode(RememberedPlane(places), PLENTY)
    assert len(text) < 700_000
    assert decode(text, NOW).places == places


def test_where_there_is_no_room_the_places_that_were_visited_last_are_remembered():
    places = {f"n{number}": place(number, NOW - number) for number in range(500)}
    text = encode(RememberedPlane(places), 5000)
    kept = decode(text, NOW).places
    assert 0 < len(kept) < 500
    assert len(text) <= 5000
    assert set(kept) == {f"n{number}" for number in range(len(kept))}
    assert encode(RememberedPlane(places), 0) == ""
    assert decode("", NOW) == RememberedPlane()


def test_what_is_too_old_or_from_the_future_does_not_count():
    places = {"old": place(1, NOW - LONGEST), "new": place(2, NOW), "later": place(3, NOW + 3600)}
    assert set(decode(encode(RememberedPlane(places), PLENTY), NOW).places) == {"new"}


def test_nobody_was_asked_in_the_future():
    made_up = RememberedPlace("t", "f", NOW, 1, PlaceProof(), {1: Result({}, at=NOW), 2: Result({}, at=2.0**52)})
    assert set(decode(encode(RememberedPlane({"n": made_up}), PLENTY), NOW).places["n"].results) == {1}


def packed(text):
    return base64.b64encode(zlib.compress(text.encode())).decode()


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "eA==",
        packed("[]"),
        packed('{"version": 2, "proofs": [], "outcomes": [], "places": []}'),
        packed('{"version":1,"proofs":[],"outcomes":[],"places":[["n","t","f",1800000000,1,0,[]]]}'),
        packed(
            '{"version":1,"proofs":[],"outcomes":[],"places":[{"name":"n","treatment":"t","foretold":"f",'
            '"visited":1800000000,"turn":1,"proof":0,"results":[]}]}'
        ),
        base64.b64encode(zlib.compress(b"[" * (80 * 2**20))).decode(),
        "\N{LATIN SMALL LETTER E WITH ACUTE}",
        packed(
            '{"version":1,"proofs":[{}],"outcomes":[],"places":[{"name":"n","treatment":"t","foretold":"f",'
            f'"visited":1{"0" * 400},"turn":1,"proof":0,"results":[]}}]}}'
        ),
    ],
)
def test_what_is_none_of_ours_is_said_to_be_unreadable(text):
    with pytest.raises(MemoryUnreadableError):
        decode(text, NOW)
