"""Redaction in the real collector: nothing planted gets through, and the interpreter in Python says the same."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml

from audit_operator.api.redaction import PseudonymizedField
from audit_operator.shipping.collector.attributes import MODIFIED, RAW
from audit_operator.shipping.collector.ottl import Statements, assign, attribute, body, transform
from audit_operator.shipping.collector.pseudonym_keys import KEYS_FILE, keys_text, lookup
from audit_operator.shipping.enforcement.table import Shape, Table
from audit_operator.shipping.redaction.demand import RedactionDemand
from audit_operator.shipping.redaction.interpreter import apply
from audit_operator.shipping.redaction.key_tree import KeyTree
from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, Epoch
from audit_operator.shipping.redaction.own_pattern import OwnPattern
from audit_operator.shipping.redaction.pseudonyms import pseudonym
from audit_operator.shipping.redaction.rendering import NAMESPACE, forgotten_keys, quarantined, render
from tests.integration.shipping.collector import complaints, run_collector, ship
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

KEYS = Epoch(since=datetime(2026, 11, 28, tzinfo=UTC), tree=KeyTree.grown(bytes(range(RANDOM_BYTES))))
PSEUDONYMOUS = replace(DEFAULT, pseudonymize=frozenset(PseudonymizedField))


def unexpanded(value):
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: unexpanded(each) for key, each in value.items()}
    return [unexpanded(each) for each in value] if isinstance(value, list) else value


def configuration(*groups, keys=None):
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
            **({"lookup/pseudonyms": lookup(str(keys))} if keys else {}),
            "transform/redact": unexpanded(transform(*groups)),
            "transform/after": transform(*after),
        },
    }


def redacted(lines, demand, tmp_path, epoch=KEYS):
    """The bodies that come out, and the log, in which no statement may have failed, and no key stands."""
    keys = tmp_path / KEYS_FILE
    keys.write_text(keys_text(sorted({namespace_of(json.loads(line)) for line in lines}), epoch))
    run = run_collector(
        configuration(*render(demand), forgotten_keys(), keys=keys), [line.encode() for line in lines], tmp_path
    )
    assert len(run.records) == len(lines)
    secrets = [each["secret"] for each in yaml.safe_load(keys.read_text()).values() if "secret" in each]
    assert not any(each in run.log or each in str(run.records) for each in secrets)
    assert "failed to e" not in run.log, [line for line in run.log.splitlines() if "failed to e" in line][:3]
    return [record.body for record in run.records]


def namespace_of(event):
    reference = event.get("objectRef")
    namespace = reference.get("namespace") if isinstance(reference, dict) else ""
    return namespace if isinstance(namespace, str) else ""


def interpreted(line, demand):
    parsed = json.loads(line)
    namespace = namespace_of(parsed)
    return apply(parsed, demand, line=line, namespace=namespace, key=KEYS.present(namespace)).event


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
    [body] = redacted([line_of(event())], PSEUDONYMOUS, tmp_path, epoch=None)
    assert json.loads(body)["user"]["username"] == json.loads(body)["sourceIPs"][0] == "[REDACTED]"


def test_each_namespace_has_its_own_key_and_one_without_a_key_is_masked(tmp_path):
    """In the whole pipeline of a shipper; requests without a namespace have a key of their own."""
    (tmp_path / KEYS_FILE).write_text(keys_text(["", "shop", "web"], KEYS))
    uris = [
        "/api/v1/namespaces/shop/pods", "/api/v1/namespaces/web/pods", "/api/v1/namespaces/new/pods", "/api/v1/nodes",
        "/metrics", "/api/v1/namespaces/shop/pods?limit=1", "/api/v1/namespaces/%3Cnil%3E/pods",
    ]  # fmt: skip
    person = {"username": "dora@example.com", "uid": "u-1", "groups": ["dev"]}
    lines = [line_of(event("pods", user=person, requestURI=each)).encode() for each in uris]
    demand = RedactionDemand(pseudonymize=frozenset({PseudonymizedField.USERNAME}))
    run = ship(Table(Shape(), {"-": {}}), lines, tmp_path, redactions={"": demand}, keys=str(tmp_path / KEYS_FILE))
    assert complaints(run.log) == []
    names = [json.loads(each.body)["user"]["username"] for each in run.records]
    assert [each.attributes["username"] for each in run.records] == names

    def made(namespace):
        return pseudonym(KEYS.present(namespace), namespace, "dora@example.com")

    masked = "[REDACTED]"
    assert names == [made("shop"), made("web"), masked, made(""), made(""), made("shop"), masked]
    assert "dora" not in str(run.records)
    assert not any(KEYS.present(each).secret in str(run) for each in ("", "shop", "web"))


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
