"""Rules as texts: cheap tests miss nothing, and what is left of JSON is JSON."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit_operator.shipping.redaction import interpreter
from audit_operator.shipping.redaction.demand import RedactionDemand
from audit_operator.shipping.redaction.rules import KEPT, MARKER, RULES, Rule, stands
from tests.examples import examples
from tests.shipping.redaction.corpus import EVERYTHING, leaks

NAMES = [rule.name for rule in RULES]
TEXTS = [interpreter.text_of(leak.event[part]) for leak in leaks() for part in leak.event if part != "auditID"]


def matches(rule: Rule, text: str) -> bool:
    return re.search(rule.regex, text, re.ASCII) is not None


def passes(rule: Rule, text: str) -> bool:
    return any(re.search(gate, text, re.ASCII) for gate in rule.gates)


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_literals_and_gates_miss_nothing(rule):
    """For each text that a rule matches, and each of its beginnings and ends that it still matches."""
    matched = [text for text in TEXTS if len(text) < 10_000 and matches(rule, text)]
    assert matched, "the corpus has nothing for this rule"
    for text in matched:
        found = re.search(rule.regex, text, re.ASCII)
        alone = text[found.start() : found.end()]
        assert not rule.literals or stands(rule, alone, alone.lower()), alone
        assert not rule.gates or passes(rule, alone), alone


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
@given(data=st.data())
@settings(max_examples=examples(40))
def test_whatever_matches_passes_the_cheap_test(rule, data):
    ascii_alone = re.compile(rule.regex.replace("\x80-\U0010ffff", ""), re.ASCII)  # all letters would take minutes
    text = data.draw(st.from_regex(ascii_alone, alphabet=st.characters(max_codepoint=126)))
    if matches(rule, text):
        assert not rule.literals or stands(rule, text, text.lower())
        assert not rule.gates or passes(rule, text)


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_rules_have_a_cheap_test_and_replacements_are_plain(rule):
    assert rule.literals or rule.gates
    assert rule.replacement.replace(KEPT, "").replace(MARKER, "") in {"", '""', "@"}


fragments = st.sampled_from(
    ["\n", "\\", '"', "\t", "/", "é", "\u2028", "\x00", "<", "&", " ", ",", ":", "{", "}", "x", "1", "-", "=", "@", "+",
     "password", "token", "secret", '"password":"', '{"password":"a\\"b"}', '"name":"X_TOKEN","value":"', "kind: ",
     "Bearer ", "abcdefghijklmnop1234", "eyJhbGciOiJI.eyJhbGciOiJI.x", "a@b.cd", "123-45-6789", "4111111111111111",
     "+49 151 1234567", "DE89370400440532013000", "postgres://a:b@c", "-----BEGIN PRIVATE KEY-----",
     "-----END PRIVATE KEY-----", "token=abcdef.0123456789abcdef", "last-applied-configuration",
     "password=", "Set-Cookie", '"cookie":["', '\\"cookie\\":[\\"', "https%3A%2F%2Fa:b%40c"]
)  # fmt: skip
texts = st.lists(fragments, max_size=8).map("".join)
values = st.recursive(
    texts | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            texts | st.sampled_from(["password", "iban", "cvv", "name", "value", "apiToken"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(values.filter(lambda value: isinstance(value, dict | list)))
@example(["\\\na@b.cd"])
@example({"last-applied-configuration\\": 0})
@example({"a": "password=\\"})
@example({"password=\\": 5, "x": 1})
@example({"Bearer\\": 1234567890123456789})
@example({"cookie": ["a\\", "b"], "x": ["c"]})
@example({"cookie": ["a", 1, ["b"]], "x": "\\"})
@example({"a": '{"cookie": ["a\\\\", "b"], "cookie": "\\\\"}'})
@example({"a\\": {"cookie\\": ["", "\\"]}})
@settings(max_examples=examples(500))
def test_rules_leave_json_with_the_same_structure(value):
    """Only a number that looks like a card's may cost the whole object: it has no quotes to put a marker in."""
    redacted = interpreter.apply({"requestObject": value}, EVERYTHING)
    if "no JSON any more" in {removal.rule for removal in redacted.removals}:
        assert re.search(r"(?<![0-9])[2-6][0-9]{14,15}(?![0-9])", json.dumps(_without_texts(value)))


def _without_texts(value):
    if isinstance(value, dict):
        return [_without_texts(each) for each in value.values()]
    if isinstance(value, list):
        return [_without_texts(each) for each in value]
    return value if isinstance(value, int) else 0


def test_what_stands_beside_an_assignment_that_ends_in_a_backslash_stays():
    body = {"kind": "Widget", "spec": {"image": "evil/miner:1", "hostPID": True}, "x-note": "password=\\"}
    assert interpreter.apply({"requestObject": body}, EVERYTHING).event["requestObject"] == body


@pytest.mark.parametrize("name", ["Set-Cookie", "authorization"])
@pytest.mark.parametrize("headers", [["a=1", "session=x"], ["", "ApiKey x"], ["a", "b", 'c","d\\']])
def test_one_marker_is_all_that_is_left_of_a_list_of_headers(name, headers):
    body = {"a": {name: headers, "z": ["stays"]}, "text": json.dumps({name: headers, "z": ["stays"]})}
    redacted = interpreter.apply({"requestObject": body}, RedactionDemand()).event["requestObject"]
    left = {name: [MARKER], "z": ["stays"]}
    assert (redacted["a"], json.loads(redacted["text"])) == (left, left)


@pytest.mark.parametrize("sign", [":", "%3A", "a%3a"])
def test_colons_behind_an_encoded_address_cost_no_more_than_their_number(sign):
    """With a try for each of them to the end, this would take minutes."""
    text = "https%3A%2F%2F" + sign * 50_000
    assert interpreter.apply({"requestURI": text}, EVERYTHING).event["requestURI"] == text


@pytest.mark.parametrize(
    ("body", "secret"),
    [
        ({"a": "redis://:s3cretpw@redis:6379/0"}, "s3cretpw"),
        ({"a": "postgres://user:p@ss:w0rd@host/db"}, "w0rd"),
        ([{"op": "replace", "path": "/spec/password", "value": "s3cretpw"}], "s3cretpw"),
        ([{"op": "add", "path": "/stringData/api-key", "value": "s3cretpw"}], "s3cretpw"),
        ({"a": "-----BEGIN PGP PRIVATE KEY BLOCK-----\ns3cretpw\n-----END PGP PRIVATE KEY BLOCK-----"}, "s3cretpw"),
    ],
)
def test_secrets_in_urls_patches_and_pgp_keys_are_taken_out_by_default(body, secret):
    redacted = interpreter.apply({"requestObject": body}, RedactionDemand())
    assert secret not in json.dumps(redacted.event)


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.literals and not rule.gates], ids=lambda rule: rule.name
)
def test_an_ordinary_answer_makes_no_rule_look_closer(rule):
    answer = interpreter.text_of(
        {"kind": "Event", "requestURI": "/api/v1/pods", "responseStatus": {"metadata": {}, "code": 200}}
    )
    assert not stands(rule, answer, answer.lower())


@pytest.mark.parametrize("gate", [gate for rule in RULES if not rule.literals for gate in rule.gates])
def test_what_is_looked_for_in_every_line_begins_with_a_plain_character_but_for_account_numbers(gate):
    assert re.match(r"[0-9-]", gate) or gate.startswith(("[A-Z]{2}", "[a-z]{2}"))
