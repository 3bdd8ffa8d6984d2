"""What is believed of what answers in a pod: whoever can enter the pod can answer in its place."""

from __future__ import annotations

import json

import pytest

from audit_operator.shipping.injection.figures import MOST_BYTES, parse

POD, POLICY, SOURCE, SINK = "5b1e8f0e", "shop/orders", "logs/*.log", "otlp_http/own"
TOLD = {
    "pod": POD,
    "policy": POLICY,
    "runs": True,
    "epoch": "1",
    "received": 10,
    "refused": 0,
    "quarantined": {SOURCE: 1},
    "sinks": {SINK: [9, 0, 0, 0, 100]},
}


def read(told):
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    return parse(body, POD, POLICY, {SOURCE}, {SINK})


def test_an_honest_answer_is_believed():
    answer = read(TOLD)
    assert (answer.received, answer.quarantined, answer.sinks[SINK].sent) == (10, {SOURCE: 1}, 9)


LIES = {
    "nothing": b"",
    "no JSON": b"<html>",
    "no object": [],
    "null": None,
    "of another pod": {**TOLD, "pod": "another"},
    "of another policy": {**TOLD, "policy": "bank/accounts"},
    "too deep": b"[" * 20_000,
    "a number of very many digits": b'{"received": ' + b"9" * 20_000 + b"}",
    "too large": {**TOLD, "more": "x" * MOST_BYTES},
    "not UTF-8": b"\xff\xfe\xff",
    "a negative count": {**TOLD, "received": -1},
    "a count that is a fraction": {**TOLD, "received": 1.5},
    "a count that is true": {**TOLD, "received": True},
    "a count that is a text": {**TOLD, "received": "10"},
    "a count that is no number": json.dumps({**TOLD, "received": float("nan")}).encode(),
    "a count beyond all measure": {**TOLD, "quarantined": {SOURCE: 10**16}},
    "a count that is missing": {key: value for key, value in TOLD.items() if key != "refused"},
    "sources that are a list": {**TOLD, "quarantined": [SOURCE]},
    "too few figures of a sink": {**TOLD, "sinks": {SINK: [1]}},
    "too many figures of a sink": {**TOLD, "sinks": {SINK: [1] * 1000}},
    "figures of a sink that are none": {**TOLD, "sinks": {SINK: {"sent": 1}}},
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_that_has_no_sense_counts_as_no_answer(name):
    assert read(LIES[name]) is None


def test_names_that_the_policy_does_not_have_lead_nowhere():
    told = {**TOLD, "quarantined": {SOURCE: 1, "bank/secrets": 7, "x" * 5000: 1}, "sinks": {"otlp_http/other": [1] * 5}}
    answer = read(told)
    assert answer.quarantined == {SOURCE: 1}
    assert answer.sinks == {}


def test_an_epoch_is_kept_short():
    assert len(read({**TOLD, "epoch": "x" * 5000}).epoch) <= 64


def test_a_sidecar_without_a_collector_says_no_more_than_that():
    assert read({"pod": POD, "policy": POLICY, "runs": False, "received": -1}).runs is False
