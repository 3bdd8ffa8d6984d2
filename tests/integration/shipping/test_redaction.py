"""Redaction in the real collector: nothing planted gets through, and the interpreter in Python says the same."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace

import pytest

from audit_operator.api.redaction import PseudonymizedField
from audit_operator.shipping.collector.attributes import MODIFIED, RAW
from audit_operator.shipping.collector.ottl import Statements, assign, attribute, body, transform
from audit_operator.shipping.redaction.interpreter import apply
from audit_operator.shipping.redaction.own_pattern import OwnPattern
from audit_operator.shipping.redaction.rendering import NAMESPACE, PSEUDONYM_KEY, quarantined, render
from tests.integration.shipping.collector import run_collector
from tests.shipping.redaction.corpus import (
    DEFAULT,
    EVERYTHING,
    NOTHING,
    event,
    harmless,
    hostile,
    jwt,
    leaks,
    line_of,
    opaque,
)
from tests.shipping.redaction.own_patterns import ATTACKS, PATTERNS

KEY = "0123456789abcdef" * 4
PSEUDONYMOUS = replace(DEFAULT, pseudonymize=frozenset(PseudonymizedField))


def unexpanded(value):
    if isinstance(value, str):
        return value if value == PSEUDONYM_KEY else value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: unexpanded(each) for key, each in value.items()}
    return [unexpanded(each) for each in value] if isinstance(value, list) else value


def configuration(*groups):
    """As the shipper has it around redaction: the line is kept, the body is the event, and written anew if changed."""
    namespace = body("objectRef", "namespace")
    is_event = "IsMap(log.body)"
    before = Statements(
        (assign(attribute(NAMESPACE), namespace, f"IsMap({body('objectRef')}) and IsString({namespace})"),), (is_event,)
    )
    after = (
        Statements((assign("log.body", attribute(RAW), f"{attribute(MODIFIED)} == nil"),)),
        Statements((assign("log.body", "String(log.body)", f"{attribute(MODIFIED)} != nil"),)),
    )
    return {
        "receivers": {
            "file_log": {
                "operators": [
                    {"type": "copy", "from": "body", "to": f'attributes["{RAW}"]'},
                    {"type": "json_parser", "parse_to": "body", "parse_ints": True, "on_error": "send_quiet"},
                ]
            }
        },
        "processors": {
            "transform/before": transform(before),
            "transform/redact": unexpanded(transform(*groups)),
            "transform/after": transform(*after),
        },
    }


def redacted(lines, demand, tmp_path, key=KEY):
    """The bodies that come out, and the log, in which no statement may have failed."""
    run = run_collector(
        configuration(*render(demand)),
        [line.encode() for line in lines],
        tmp_path,
        environ={"AUDIT_OPERATOR_PSEUDONYM_KEY": key},
    )
    assert len(run.records) == len(lines)
    assert "failed to e" not in run.log, [line for line in run.log.splitlines() if "failed to e" in line][:3]
    return [record.body for record in run.records]


def interpreted(line, demand, key=KEY):
    parsed = json.loads(line)
    reference = parsed.get("objectRef")
    namespace = reference.get("namespace") if isinstance(reference, dict) else ""
    namespace = namespace if isinstance(namespace, str) else ""
    return apply(parsed, demand, line=line, namespace=namespace, key=key).event


def differences(lines, demand, tmp_path):
    bodies = redacted(lines, demand, tmp_path)
    pairs = zip(lines, bodies, strict=True)
    return [(line, got, wanted) for line, got in pairs if json.loads(got) != (wanted := interpreted(line, demand))]


def test_no_planted_secret_gets_through(tmp_path):
    by_demand = defaultdict(list)
    for leak in leaks():
        by_demand[leak.demand].append(leak)
    assert sum(map(len, by_demand.values())) >= 200
    for demand, planted in by_demand.items():
        bodies = redacted([leak.text for leak in planted], demand, tmp_path)
        assert [leak.name for leak, body in zip(planted, bodies, strict=True) if leak.found_in(body)] == []


def test_harmless_values_stay(tmp_path):
    events = list(harmless())
    bodies = redacted([line_of(each.event) for each in events], EVERYTHING, tmp_path)
    touched = [each.value for each, body in zip(events, bodies, strict=True) if json.loads(body) != each.event]
    assert len(touched) <= len(events) / 100, touched


@pytest.mark.parametrize(
    "demand", [NOTHING, DEFAULT, EVERYTHING, PSEUDONYMOUS], ids=["nothing", "default", "all", "pseudonyms"]
)
def test_python_says_what_the_collector_does(demand, tmp_path):
    lines = [leak.text for leak in leaks()] + [line_of(each.event) for each in harmless()]
    assert differences(lines, demand, tmp_path) == []


@pytest.mark.parametrize("demand", [NOTHING, EVERYTHING, PSEUDONYMOUS], ids=["nothing", "all", "pseudonyms"])
def test_no_statement_fails_on_hostile_shapes(demand, tmp_path):
    assert differences([line_of(each) for each in hostile()], demand, tmp_path) == []


def test_without_a_key_the_marker_takes_the_place_of_pseudonyms(tmp_path):
    [body] = redacted([line_of(event())], PSEUDONYMOUS, tmp_path, key="")
    assert json.loads(body)["user"]["username"] == json.loads(body)["sourceIPs"][0] == "[REDACTED]"


def test_own_patterns_are_literal_and_stay_within_objects(tmp_path):
    demand = replace(DEFAULT, patterns=PATTERNS)
    lines = [line_of(each) for each in ATTACKS]
    assert differences(lines, demand, tmp_path) == []


@pytest.mark.parametrize(
    "replacement", ["$1", "${1}", "${env:HOME}", "$$", '"', '","x":"', "\\", "\n", "<&>", "\u2028", "ü"]
)
def test_a_replacement_is_taken_literally(replacement, tmp_path):
    own = OwnPattern.parse("x", "ACME-[0-9]+", replacement)
    plain = event("widgets", requestObject={"spec": {"note": "before ACME-17 after"}})
    [body] = redacted([line_of(plain)], replace(DEFAULT, patterns=(own,)), tmp_path)
    assert json.loads(body)["requestObject"] == {"spec": {"note": f"before {replacement} after"}}


def test_of_a_cut_line_only_what_says_which_request_it_was_is_left(tmp_path):
    cut = line_of(event("secrets", responseStatus={"message": opaque(1)}, requestObject={"note": jwt(1)}))[:-40]
    lines = [cut, cut[:300], cut[9:], f"not an event {opaque(2)}"]
    run = run_collector(configuration(quarantined()), [line.encode() for line in lines], tmp_path)
    heads = ["/api/v1/namespaces/shop/secrets/it", "/api/v1/namespaces/shop/secrets/it", "", ""]
    for line, head, record in zip(lines, heads, run.records, strict=True):
        assert record.body.endswith(f"[REDACTED: {len(line)} bytes]")
        assert head in record.body
        assert not any(secret in record.body for secret in ("dora", opaque(1), opaque(2), jwt(1)[:20]))
