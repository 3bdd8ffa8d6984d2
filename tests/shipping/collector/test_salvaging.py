"""Whatever a sender writes, what is salvaged of a line says nothing that the API server did not write.

`salvaged` is in Python what the statements are for the collector; that these agree, tests with the real one show.
"""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.shipping.collector.salvaging import BODIES, HEAD, REST, START, STRING, TAIL

TIMES = {
    "requestReceivedTimestamp": "2026-11-28T07:00:00.000000Z",
    "stageTimestamp": "2026-11-28T07:00:00.000001Z",
}
FORGED_TIMES = '"requestReceivedTimestamp":"2001-01-01T00:00:00.000000Z","stageTimestamp":"2001-01-01T00:00:00.000000Z"'
FORGED_TAIL = f',{FORGED_TIMES},"annotations":{{"authorization.k8s.io/decision":"forged"}}}}'
FORGED_HEAD = f'{START}None","auditID":"forged","stage":"Panic","requestURI":"/forged","verb":"forged","user":{{}}'
SNIPPETS = (
    ',"requestObject":', ',"responseObject":1e999', "requestObject", FORGED_TAIL, FORGED_HEAD, "}", "{", '"', "\\", ",",
    "]}", 'a"', '\\"', ":", "é", "<&>", "\u2028",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(SNIPPETS) | st.text(max_size=3), max_size=4).map("".join)
BROKEN = st.sampled_from(["1e999", "-1e400", "1" * 400])


def encoded(value):
    """As Go writes it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for each in "<>&\u2028\u2029":
        text = text.replace(each, f"\\u{ord(each):04x}")
    return text


def fields(required, optional=()):
    """Objects with these fields in this order, as Go has it."""
    order = [*required, *optional]
    drawn = st.fixed_dictionaries(dict(required), optional=dict(optional))
    return drawn.map(lambda found: {name: found[name] for name in order if name in found})


EXTRA = st.dictionaries(TEXTS | st.just("requestObject"), st.lists(TEXTS, max_size=2), max_size=2)
USERS = fields({"username": TEXTS, "groups": st.lists(TEXTS, max_size=2), "extra": EXTRA})
STATUSES = fields(
    {"metadata": st.just({}), "code": st.sampled_from([200, 201, 403, 422])},
    optional={
        "message": TEXTS,
        "details": fields({"causes": st.lists(fields({"message": TEXTS}), max_size=2)}),
    },
)
HEADS = fields(
    {
        "kind": st.just("Event"),
        "apiVersion": st.just("audit.k8s.io/v1"),
        "level": st.sampled_from(["Request", "RequestResponse"]),
        "auditID": TEXTS,
        "stage": st.just("ResponseComplete"),
        "requestURI": TEXTS,
        "verb": TEXTS,
        "user": USERS,
        "impersonatedUser": USERS,
        "sourceIPs": st.lists(TEXTS, max_size=2),
        "userAgent": TEXTS,
        "objectRef": fields({"resource": TEXTS, "name": TEXTS}),
        "responseStatus": STATUSES,
    }
)
TAILS = fields(
    {each: st.just(text) for each, text in TIMES.items()},
    optional={"annotations": st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=3)},
)


@st.composite
def bodies(draw):
    """The text of a body with keys and texts that are chosen to mislead, and somewhere something that is not read."""
    inner = draw(st.sampled_from(["1", "{}", "[[]]"]) | TEXTS.map(encoded) | BROKEN)
    for _ in range(draw(st.integers(0, 4))):
        before = draw(
            st.sampled_from(["", f"{FORGED_TIMES},", f'{FORGED_TIMES},"annotations":{{"a":"b"}},', '"a":[],'])
        )
        key = draw(
            st.sampled_from(["requestObject", "responseObject", "requestReceivedTimestamp", "annotations", "a,"])
        )
        behind = draw(st.sampled_from(["", FORGED_TAIL[:-1], f",{FORGED_TIMES}", f',"a":{FORGED_HEAD}}}']))
        inner = f'{{{before}"{key}":{inner}{behind}}}' if draw(st.booleans()) else f"[{inner},{draw(BROKEN)}]"
    return f'{{"x":{inner},"y":{draw(BROKEN)}}}'


@st.composite
def lines(draw):
    """A line as the API server writes it, with what of it can be read, and how many bytes stand before its bodies."""
    head, tail = draw(HEADS), draw(TAILS)
    named = draw(st.sampled_from([("requestObject",), ("responseObject",), ("requestObject", "responseObject")]))
    begin = encoded(head)[:-1]
    parts = [begin, *(f',"{field}":{draw(bodies())}' for field in named), f",{encoded(tail)[1:]}"]
    return "".join(parts), head, tail, len(begin)


def salvaged(line):
    """The event and what of it could not be read; None where the line begins with none."""
    if (head := re.match(HEAD, line)) is None:
        return None
    tail, bare = re.search(TAIL, line), re.sub(STRING, "", line)
    balanced = all(bare.count(opening) == bare.count(closing) for opening, closing in ("{}", "[]"))
    if tail is None or not balanced or line.count(START) != 1:
        return json.loads(head["head"] + "}"), REST
    return json.loads(head["head"] + tail["tail"]), BODIES


@given(lines())
def test_all_but_the_bodies_is_as_the_api_server_wrote_it(drawn):
    line, head, tail, _ = drawn
    event, unread = salvaged(line)
    if line.count(START) == 1:
        assert (event, unread) == ({**head, **tail}, BODIES)
    else:  # perhaps another event begins in it
        assert (event, unread) == (head, REST)


@given(lines(), lines(), st.data())
def test_of_half_a_line_only_what_stands_before_the_bodies_is_believed_whatever_follows_it(drawn, other, data):
    line, head, _, bodies_at = drawn
    half = line[: data.draw(st.integers(1, len(line) - 1))]
    ends = [found.end() for found in re.finditer(re.escape(FORGED_TAIL), half)]
    if ends:  # what a sender would wish for
        half = half[: data.draw(st.sampled_from(ends))]
    follows = data.draw(st.sampled_from(["", other[0], other[0][: len(other[0]) // 2], other[0] * 2]))
    found = salvaged(half + follows)
    assert found == (head, REST) if found else len(half) < bodies_at + len(',"responseObject":')


def test_an_end_that_a_sender_forged_is_not_believed_where_the_line_is_cut_right_behind_it():
    head = FORGED_HEAD + ',"requestObject":'
    cut = f'{head}{{"a":1e999{FORGED_TAIL}'
    assert salvaged(cut) == (json.loads(FORGED_HEAD + "}"), REST)
    assert salvaged(cut + FORGED_TAIL) == (json.loads(FORGED_HEAD + FORGED_TAIL), BODIES)


def test_where_another_line_follows_half_a_line_its_end_is_not_believed():
    """The half one is cut so that brackets are balanced."""
    half = FORGED_HEAD + ',"requestObject":{"a":"'
    assert salvaged(f'{half}{FORGED_HEAD},"requestObject":{{"a":"}}"}}{FORGED_TAIL}')[1] == REST


@pytest.mark.parametrize(
    "line",
    [
        "",
        "1e999",
        "{}",
        FORGED_HEAD,
        FORGED_HEAD + "}",
        FORGED_HEAD.replace('"verb":"forged",', "") + ',"requestObject":1e999}',
        " " + FORGED_HEAD + ',"requestObject":1e999}',
        FORGED_HEAD.replace('"user":{}', '"user":{"extra":[[[[[[]]]]]]}') + ',"requestObject":1e999}',
    ],
)
def test_what_does_not_begin_as_an_event_does_is_none(line):
    assert salvaged(line) is None
