"""Splitting lists: exact where they are JSON, and nothing but a refusal where they are not."""

from __future__ import annotations

import json
import random
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.gateway.event_list import EVENT_TYPE, MOST_ITEMS, NoEventList, TooManyItems, split
from tests.gateway.lists import HEAD, TAIL, event, list_of

TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ['"', "\\", '\\"', "{", "}]", '{"items":[', "😀", "\x7f", "\\u007b"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=20
)
SPACE = st.sampled_from(["", " ", "\n", "\t \r\n"])


def written(value, *, ascii_only=True):
    return json.dumps(value, ensure_ascii=ascii_only).encode()


def without_type(item):
    """An item as it stood in the list."""
    return b"{" + item[1 + len(EVENT_TYPE) :] if item[1:].startswith(EVENT_TYPE) else item


@given(st.lists(VALUES, max_size=6), st.booleans(), SPACE)
def test_items_are_those_that_a_json_parser_finds_byte_for_byte(values, ascii_only, space):
    texts = [written(value, ascii_only=ascii_only) for value in values]
    gap = space.encode()
    content = HEAD + gap + (gap + b"," + gap).join(texts) + gap + TAIL
    found = [without_type(item) for item in split(content)]
    assert found == texts
    if ascii_only:
        assert [json.loads(item) for item in found] == json.loads(content)["items"]


@given(st.lists(VALUES, max_size=4), st.dictionaries(st.sampled_from(["metadata", "x", "y"]), VALUES), st.randoms())
def test_members_may_come_in_any_order(values, others, draw):
    members = [("kind", "EventList"), ("apiVersion", "audit.k8s.io/v1"), ("items", values), *others.items()]
    draw.shuffle(members)
    assert [json.loads(without_type(each)) for each in split(written(dict(members)))] == values


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused_and_nothing_else_happens(content):
    with pytest.raises(NoEventList):
        split(content)


@given(st.lists(VALUES, min_size=1, max_size=4), st.data())
def test_a_list_that_was_cut_anywhere_is_refused(values, data):
    content = list_of(*map(written, values)).rstrip()
    with pytest.raises(NoEventList):
        split(content[: data.draw(st.integers(0, len(content) - 1))])


@given(st.lists(VALUES, min_size=1, max_size=4), st.data())
def test_a_list_with_a_wrong_byte_is_split_or_refused(values, data):
    content = bytearray(list_of(*map(written, values)))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(NoEventList):
        split(bytes(content))


def test_an_event_gets_the_type_that_its_line_in_the_log_has():
    assert split(list_of(event(1))) == (b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",' + event(1)[1:],)


@pytest.mark.parametrize(
    "item",
    [
        b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata"}',
        b'{"kind":"Pod"}',
        b'{ "apiVersion":"v1"}',
        b"{}",
        b"[]",
        b"null",
        b"1e400",
        b'"text"',
    ],
)
def test_an_item_that_names_its_type_or_is_no_object_stays_as_it_is(item):
    assert split(list_of(event(), item)) == (split(list_of(event()))[0], item)


def test_numbers_of_any_size_stay_as_they_were_written():
    huge = "9" * 5000
    [item] = split(list_of(event(requestObject=f'{{"a":9007199254740993,"b":{huge},"c":1.0e-400}}')))
    assert b'"a":9007199254740993,' in item
    assert huge.encode() in item


@pytest.mark.parametrize("depth", [15, 16, 17, 18, 1_000, 200_000])
def test_nesting_of_any_depth_belongs_to_its_event_and_to_no_other(depth):
    deep = event(1, requestObject="[" * depth + "]" * depth)
    items = split(list_of(event(0), deep, event(2)))
    assert [without_type(each) for each in items] == [event(0), deep, event(2)]


@given(
    st.recursive(
        st.sampled_from([b"", b"1", b'"]"', b'"{[\\""']),
        lambda inner: st.tuples(st.integers(1, 40), st.lists(inner, min_size=1, max_size=3)).map(
            lambda drawn: b'{"a":[' * drawn[0] + b",".join(drawn[1]) + b"]}" * drawn[0]
        ),
        max_leaves=8,
    )
)
def test_what_lies_deep_in_an_item_is_passed_over_exactly(value):
    item = b"[" * 20 + value + b"]" * 20
    assert split(HEAD + item + b"," + item + TAIL) == (item, item)


def test_a_string_may_hold_what_looks_like_the_end_of_the_list():
    sly = event(1, requestObject=json.dumps({"a": ']},{"level":"None"}]}', 'b"]}': "\\", "c": "\\\\\\"}))
    assert [without_type(each) for each in split(list_of(sly, event(2)))] == [sly, event(2)]


def test_bytes_that_are_no_utf_8_stay():
    odd = event(1, requestObject='{"a":"?"}').replace(b"?", b"\xff\xfe\x80")
    assert without_type(split(list_of(odd))[0]) == odd


def test_what_is_no_json_inside_an_item_costs_no_other_item():
    wrong = event(1, requestObject="{not json: [}]")
    assert [without_type(each) for each in split(list_of(event(0), wrong, event(2)))] == [event(0), wrong, event(2)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no '{' at byte 0"),
        (b"[]", "no '{' at byte 0"),
        (b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1"}', "items are no array"),
        (b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":{}}', "items are no array"),
        (b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1beta1","items":[]}', "apiVersion is not"),
        (b'{"kind":"PodList","apiVersion":"audit.k8s.io/v1","items":[]}', "kind is not"),
        (b'{"apiVersion":"audit.k8s.io/v1","items":[]}', "kind is not"),
        (HEAD + b'],"items":[]}', "'items' stands there twice"),
        (HEAD + b"]} {}", "something stands behind it"),
        (HEAD + b"1,]}", "no value"),
        (HEAD + b"1 2]}", "no ','"),
        (HEAD + b'{"a":[1}', "does not end"),
        (HEAD + b'"abc', "no value"),
    ],
)
def test_what_is_no_list_of_events_is_refused_with_the_reason(content, reason):
    with pytest.raises(NoEventList, match=reason.replace("[", r"\[")):
        split(content)


def test_a_list_without_items_is_empty():
    assert split(list_of()) == ()
    assert split(b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":null}') == ()


def test_a_list_that_is_too_long_is_refused_before_it_takes_memory():
    assert len(split(list_of(*[b"1"] * MOST_ITEMS))) == MOST_ITEMS
    content = HEAD + b"1," * 2**22
    tracemalloc.start()
    try:
        with pytest.raises(TooManyItems, match=f"more than {MOST_ITEMS} items"):
            split(content)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_list_with_too_many_members_is_refused():
    members = b"".join(b'"m%d":1,' % number for number in range(100_000))
    with pytest.raises(NoEventList, match="more than 16 members"):
        split(b"{" + members + b'"items":[]}')


def test_no_text_takes_more_than_linear_time():
    """A timeout of the test run would show the square: a megabyte of each."""
    draw, size = random.Random(1), 2**20
    for piece in (
        b"[",
        b'{"":[],"a":',
        b'{"a":',
        b'"',
        b"\\",
        b'"\\',
        b"[]",
        b"[{",
        b'"a",',
        b" ",
        bytes(draw.randbytes(64)),
    ):
        for content in (piece * (size // len(piece)), HEAD + piece * (size // len(piece))):
            with pytest.raises(NoEventList):
                split(content)
