"""Redaction in the real collector: nothing planted gets through, and the interpreter in Python says the same."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml

from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.shipping.collector import deciding
from audit_operator.shipping.collector.attributes import MODIFIED, PROVED, RAW
from audit_operator.shipping.collector.deciding import state
from audit_operator.shipping.collector.demands import apply_tenants, entries, gates, look_ups
from audit_operator.shipping.collector.ottl import Statements, assign, attribute, body, transform
from audit_operator.shipping.collector.proving import REDACT, proved
from audit_operator.shipping.collector.pseudonym_keys import KEYS_FILE, keys_text, lookup
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.enforcement.table import REDACTION, Shape, Table
from audit_operator.shipping.redaction.demand import RedactionDemand, together
from audit_operator.shipping.redaction.interpreter import apply
from audit_operator.shipping.redaction.key_tree import KeyTree
from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, Epoch
from audit_operator.shipping.redaction.own_pattern import MOST_TOGETHER, OwnPattern
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
from tests.shipping.redaction.own_patterns import AT_THE_BOUND, ATTACKS, GROWING, NUMBERS, PATTERNS

KEYS = Epoch(since=datetime(2026, 11, 28, tzinfo=UTC), tree=KeyTree.grown(bytes(range(RANDOM_BYTES))))
PSEUDONYMOUS = replace(DEFAULT, pseudonymize=frozenset(PseudonymizedField))


def unexpanded(value):
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: unexpanded(each) for key, each in value.items()}
    return [unexpanded(each) for each in value] if isinstance(value, list) else value


NAMED = (
    {"type": "regex_parser", "regex": "^=(?P<named>[^ ]*) (?P<line>.*)$"},
    {"type": "move", "from": "attributes.line", "to": "body"},
    {"type": "move", "from": "attributes.named", "to": f'attributes["{state(REDACTION)}"]'},
)
"""For lines that begin with the name of the demand for their redaction."""


def configuration(*groups, keys=None, operators=(), asked=None):
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
                    *operators,
                    {"type": "copy", "from": "body", "to": f'attributes["{RAW}"]'},
                    {"type": "json_parser", "parse_to": "body", "parse_ints": True, "on_error": "send_quiet"},
                ]
            }
        },
        "processors": {
            "transform/before": transform(before),
            **({"lookup": asked} if asked else {}),
            **({"lookup/pseudonyms": lookup(str(keys))} if keys else {}),
            REDACT: unexpanded(proved(groups, ())),
            "transform/after": transform(*after),
        },
    }


def redacted(lines, demand, tmp_path, epoch=KEYS):
    """The bodies that come out."""
    keys = keys_for(lines, tmp_path, epoch)
    return bodies_of(configuration(*render(demand), forgotten_keys(), keys=keys), lines, tmp_path)


def redacted_each_as_named(lines, demands, tmp_path, listed=None):
    """The same of each line that begins with the name of its demand, with what is `listed` of them in the table."""
    table, keys = tmp_path / "table.yaml", keys_for([line.partition(" ")[2] for line in lines], tmp_path)
    table.write_text(yaml_text({"-": {}, **(entries(demands) if listed is None else listed)}))
    asked = deciding.lookup(Shape(), str(table), redaction=look_ups(demands))
    groups = *render(together(demands.values()), gates(demands)), *apply_tenants(demands), forgotten_keys()
    return bodies_of(configuration(*groups, keys=keys, operators=NAMED, asked=asked), lines, tmp_path)


def keys_for(lines, tmp_path, epoch=KEYS):
    keys = tmp_path / KEYS_FILE
    keys.write_text(keys_text(sorted({namespace_of(json.loads(line)) for line in lines}), epoch))
    return keys


def bodies_of(config, lines, tmp_path):
    """What comes out, all of it proved, in whose log no key stands."""
    keys = tmp_path / KEYS_FILE
    run = run_collector(config, [line.encode() for line in lines], tmp_path)
    assert len(run.records) == len(lines)
    secrets = [each["secret"] for each in yaml.safe_load(keys.read_text()).values() if "secret" in each]
    assert not any(each in run.log or each in str(run.records) for each in secrets)
    assert complaints(run.log) == []
    assert {record.attributes[PROVED] for record in run.records} <= {"true"}
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


def test_of_many_demands_in_one_configuration_each_event_gets_its_own(tmp_path):
    profiles = {each.value: RedactionDemand(frozenset({each})) for each in RedactionProfile}
    fields = {each.value: RedactionDemand(frozenset(), (), frozenset({each})) for each in PseudonymizedField}
    demands = {"": DEFAULT, "nothing": NOTHING, **profiles, **fields}
    plain = [leak.text for leak in leaks()][::9] + [line_of(each) for each in hostile()][::99]
    lines = [(name, line) for name in demands for line in plain]
    got = redacted_each_as_named([f"={name} {line}" for name, line in lines], demands, tmp_path)
    wrong = [
        (name, line)
        for (name, line), body in zip(lines, got, strict=True)
        if json.loads(body) != interpreted(line, demands[name])
    ]
    assert wrong == []


def test_patterns_of_tenants_do_what_patterns_in_the_configuration_do(tmp_path):
    mine, others = PATTERNS[::2], PATTERNS[1::2]
    demands = {
        "": DEFAULT,
        "all": replace(DEFAULT, tenants=PATTERNS),
        "some": replace(NOTHING, tenants=mine),
        "given": replace(DEFAULT, patterns=others),
        "both": replace(DEFAULT, patterns=others, tenants=mine),
        "many": replace(NOTHING, tenants=tuple(OwnPattern("x", f"ACME-{each}", "y") for each in range(MOST_TOGETHER))),
    }
    plain = [line_of(each) for each in ATTACKS]
    lines = [(name, line) for name in demands for line in plain]
    got = redacted_each_as_named([f"={name} {line}" for name, line in lines], demands, tmp_path)
    wrong = [
        (name, line, body)
        for (name, line), body in zip(lines, got, strict=True)
        if json.loads(body) != interpreted(line, demands[name])
    ]
    assert wrong == []


def test_patterns_that_grow_are_bounded_alike_wherever_they_stand(tmp_path):
    some = {"growing": GROWING, "numbers": NUMBERS}
    demands = {
        "": NOTHING,
        **{f"given-{name}": replace(NOTHING, patterns=each) for name, each in some.items()},
        **{f"asked-{name}": replace(NOTHING, tenants=each) for name, each in some.items()},
    }
    large = event("widgets", requestObject={"note": "an order, 7, of many: " * 9_999}, responseObject="b" * 2**17)
    plain = [line_of(each) for each in (*AT_THE_BOUND, large)]
    lines = [(name, line) for name in demands for line in plain]
    got = redacted_each_as_named([f"={name} {line}" for name, line in lines], demands, tmp_path)
    wrong = [
        (name, line[:400], body[:400])
        for (name, line), body in zip(lines, got, strict=True)
        if json.loads(body) != interpreted(line, demands[name])
    ]
    assert wrong == []


@pytest.mark.parametrize("field", ["patterns", "tenants"])
def test_patterns_that_grow_take_the_collector_no_memory(field, tmp_path):
    """Four of them made of 600 bytes what ended it, and would have again after each start."""
    growing = tuple(OwnPattern.parse(f"p{number}", "[a-z]", "a" * 64) for number in range(4))
    demand = replace(DEFAULT, **{field: growing})
    table = Table(Shape(), {"-": {}, **entries({"": demand})})
    lines = [line_of(event("widgets", requestObject={"note": "b" * 60})), line_of(event("widgets", responseObject="b"))]
    run = ship(table, [each.encode() for each in lines], tmp_path, redactions={"": demand})
    assert complaints(run.log) == []
    assert json.loads(run.records[1].body)["responseObject"] == "*" * 64**2  # two of them may
    assert run.cost.resident < 400
    assert max(len(each.body) for each in run.records) < 20_000


UNUSABLE = {
    "no expression": ["ACME-(", "y"],
    "one of three": ["nothing", "y", "ACME-(", "y", "spec", "y"],
    "one too many": [f"nothing-{each}" for each in range(2 * MOST_TOGETHER + 1)],
    "no replacement": ["nothing"],
    "a number in place of a replacement": ["ACME", 17],
    "a number in place of an expression": [17, "y"],
    "a text": "ACME",
}
"""Lists that no user can bring about."""


def test_an_object_that_a_tenants_pattern_cannot_be_applied_to_goes_whole(tmp_path):
    demands = {"": NOTHING, "it": replace(NOTHING, tenants=PATTERNS)}
    names = {name.replace(" ", "-"): some for name, some in UNUSABLE.items()}
    listed = {f"redaction|{name}": {"patterns": some} for name, some in names.items()}
    plain = event("widgets", requestObject={"spec": {"note": "ACME-12345"}})
    lines = [f"={name} {line_of(plain)}" for name in (*names, "unknown")]
    got = redacted_each_as_named(lines, demands, tmp_path, {"redaction|": {"patterns": "-"}, **listed})
    assert [json.loads(each)["requestObject"] for each in got] == ["[REDACTED]"] * len(lines)


def test_a_demand_that_the_table_does_not_know_spares_nothing(tmp_path):
    demands = {"": NOTHING, "all": replace(EVERYTHING, pseudonymize=frozenset(PseudonymizedField))}
    lines = [leak.text for leak in leaks()][::9]
    listed = entries({"": NOTHING, "it": DEFAULT})
    got = redacted_each_as_named([f"=all {line}" for line in lines], demands, tmp_path, listed)
    assert [json.loads(body) for body in got] == [interpreted(line, demands["all"]) for line in lines]


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
    own = (OwnPattern.parse("x", "ACME-[0-9]+", replacement),)
    demands = {"given": replace(DEFAULT, patterns=own), "tenant": replace(DEFAULT, tenants=own)}
    plain = line_of(event("widgets", requestObject={"spec": {"note": "before ACME-17 after"}}))
    for got in redacted_each_as_named([f"={name} {plain}" for name in demands], demands, tmp_path):
        assert json.loads(got)["requestObject"] == {"spec": {"note": f"before {replacement} after"}}


def test_of_a_cut_line_only_what_says_which_request_it_was_is_left(tmp_path):
    cut = line_of(event("secrets", responseStatus={"message": opaque(1)}, requestObject={"note": jwt(1)}))[:-40]
    lines = [cut, cut[:300], cut[9:], f"not an event {opaque(2)}"]
    run = run_collector(configuration(quarantined()), [line.encode() for line in lines], tmp_path)
    heads = ["/api/v1/namespaces/shop/secrets/it", "/api/v1/namespaces/shop/secrets/it", "", ""]
    for line, head, record in zip(lines, heads, run.records, strict=True):
        assert record.body.endswith(f"[REDACTED: {len(line)} bytes]")
        assert head in record.body
        assert not any(secret in record.body for secret in ("dora", opaque(1), opaque(2), jwt(1)[:20]))


def test_where_names_may_be_those_of_persons_a_cut_line_keeps_none(tmp_path):
    uris = [
        "/apis/example.com/v1/users/dora@example.com", "/api/v1/namespaces/shop/pods/dora", "/dora",
        "/api/v1/nodes?x=dora",
    ]  # fmt: skip
    lines = [line_of(event(requestURI=each))[:-40] for each in uris]
    run = run_collector(configuration(quarantined(nameless=True)), [line.encode() for line in lines], tmp_path)
    ends = ["/example.com/v1/users", "/api/v1/namespaces/shop/pods", '"stage":"ResponseComplete"', "/api/v1/nodes"]
    for record, end in zip(run.records, ends, strict=True):
        assert record.body.partition("[")[0].endswith(end)
    assert "dora" not in str(run.records)
