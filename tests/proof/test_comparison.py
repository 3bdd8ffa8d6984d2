"""Only a record of our own request counts, and only one that is as predicted proves anything."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from audit_operator.api.audit import Level, Stage
from audit_operator.proof.comparison import Outcome, compare
from audit_operator.proof.prediction import Prediction

CANARY, SECRET = "canary-abc", "secret-abc"
PATH = "/api/v0probe/namespaces/payments/pods/probe-abc"
RECEIVED, COMPLETE = Stage.REQUEST_RECEIVED, Stage.RESPONSE_COMPLETE
PREDICTION = Prediction(
    {RECEIVED: Level.METADATA, COMPLETE: Level.METADATA},
    "payments",
    "get",
    f"{PATH}?probe-token=[REDACTED]",
    "prober",
    (),
    (CANARY, SECRET),
)
NOTHING = Prediction({}, "payments", "get", PREDICTION.uri, "prober", (), (CANARY,))


def record(at, **changed):
    event = {
        "auditID": "id",
        "stage": at.value,
        "level": "Metadata",
        "verb": "get",
        "requestURI": PREDICTION.uri,
        "user": {"username": "prober"},
        "objectRef": {"namespace": "payments", "resource": "pods"},
    }
    return json.dumps({**event, **changed})


def test_all_that_was_predicted_is_proof():
    assert compare(PREDICTION, [record(RECEIVED), record(COMPLETE)]).outcome is Outcome.VERIFIED


def test_what_comes_twice_is_proof_as_well():
    texts = [record(RECEIVED), record(RECEIVED), record(COMPLETE)]
    assert compare(PREDICTION, texts).outcome is Outcome.VERIFIED


def test_what_is_not_there_yet_is_waited_for_and_then_missing():
    assert compare(PREDICTION, [record(RECEIVED)]).outcome is Outcome.PENDING
    compared = compare(PREDICTION, [record(RECEIVED)], over=True)
    assert compared.outcome is Outcome.MISSING
    assert (compared.predicted, compared.found) == ("RequestReceived, ResponseComplete", "RequestReceived")
    assert compare(PREDICTION, [], over=True).found == "none"


def test_each_stage_that_was_found_is_named_once_however_often_it_is_there():
    texts = [record(RECEIVED, number=number) for number in range(1000)]
    assert compare(PREDICTION, texts, over=True).found == "RequestReceived"


@pytest.mark.parametrize(
    ("changed", "field", "predicted", "found"),
    [
        ({"level": "Request"}, "level", "Metadata at ResponseComplete", "Request at ResponseComplete"),
        ({"objectRef": {"namespace": "web"}}, "namespace", "payments", "web"),
        ({"requestURI": f"{PATH}?probe-token=canary-abc"}, "redaction", "taken out", "in clear"),
        ({"annotations": {"repeated": "canary-abc"}}, "redaction", "taken out", "in clear"),
        ({"requestURI": PATH}, "redaction", PREDICTION.uri, PATH),
        ({"stage": "Panic"}, "stages", "RequestReceived, ResponseComplete", "Panic"),
    ],
)
def test_a_difference_is_told_with_both_values(changed, field, predicted, found):
    compared = compare(PREDICTION, [record(RECEIVED), record(COMPLETE, **changed)])
    assert compared.outcome is Outcome.CONTRADICTED
    assert (compared.field, compared.predicted, compared.found) == (field, predicted, found)
    assert CANARY not in compared.found


def test_a_record_where_none_may_be_is_a_contradiction():
    compared = compare(NOTHING, [record(COMPLETE)])
    assert (compared.outcome, compared.field, compared.predicted) == (Outcome.CONTRADICTED, "stages", "none")


def test_silence_is_proof_only_if_a_later_record_came():
    assert compare(NOTHING, []).outcome is Outcome.PENDING
    assert compare(NOTHING, [], over=True).outcome is Outcome.UNKNOWN
    assert compare(NOTHING, [], over=True, witnessed=True).outcome is Outcome.VERIFIED


def test_an_answer_that_is_not_all_proves_what_is_in_it_and_nothing_of_what_is_not():
    assert compare(PREDICTION, [record(RECEIVED), record(COMPLETE)], complete=False).outcome is Outcome.VERIFIED
    assert compare(NOTHING, [record(COMPLETE)], complete=False).outcome is Outcome.CONTRADICTED
    assert compare(PREDICTION, [record(RECEIVED)], complete=False).outcome is Outcome.PENDING
    unknown = compare(PREDICTION, [record(RECEIVED)], over=True, complete=False)
    assert (unknown.outcome, unknown.found) == (Outcome.UNKNOWN, "RequestReceived")
    assert compare(NOTHING, [], over=True, witnessed=True, complete=False).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "stranger",
    [
        record(COMPLETE, user={"username": "mallory"}),
        record(COMPLETE, verb="delete"),
        record(COMPLETE, requestURI="/api/v1/secrets"),
        record(COMPLETE, user=None),
        "no event",
        "[]",
    ],
)
def test_our_id_with_another_request_is_somebody_elses_and_proves_nothing(stranger):
    compared = compare(PREDICTION, [record(RECEIVED), stranger], over=True)
    assert compared.outcome is Outcome.MISSING
    assert compared.strangers == 1


def test_a_pseudonym_is_taken_for_ours():
    unnamed = Prediction(PREDICTION.levels, "payments", "get", PREDICTION.uri, None, ())
    texts = [record(stage, user={"username": "p-123"}) for stage in (RECEIVED, COMPLETE)]
    assert compare(unnamed, texts).outcome is Outcome.VERIFIED


BODY = {"metadata": {"labels": {"probe": "word"}, "annotations": {"note": "[REDACTED]"}}, "containers": [{"a": 1}]}
STATUS = {"kind": "Status", "code": 404, "message": "not found"}
WITH_BODY = replace(PREDICTION, levels={RECEIVED: Level.REQUEST, COMPLETE: Level.REQUEST}, body=BODY)
ANSWERED = replace(
    WITH_BODY,
    levels={RECEIVED: Level.REQUEST_RESPONSE, COMPLETE: Level.REQUEST_RESPONSE},
    answered=True,
)


def with_body(level="Request", **changed):
    return [record(RECEIVED, level=level), record(COMPLETE, level=level, **changed)]


def test_a_body_with_all_that_was_sent_and_defaults_besides_is_proof():
    defaulted = {**BODY, "status": {}, "metadata": {**BODY["metadata"], "name": "a"}}
    assert compare(WITH_BODY, with_body(requestObject=defaulted)).outcome is Outcome.VERIFIED
    assert compare(replace(WITH_BODY, body={}), with_body(requestObject=BODY)).outcome is Outcome.VERIFIED
    answered = with_body("RequestResponse", requestObject=BODY, responseObject=STATUS)
    assert compare(ANSWERED, answered).outcome is Outcome.VERIFIED


@pytest.mark.parametrize(
    ("prediction", "texts", "predicted", "found"),
    [
        (WITH_BODY, with_body(), "requestObject", "no body"),
        (WITH_BODY, with_body(requestObject=BODY, responseObject=STATUS), "no body", "responseObject"),
        (ANSWERED, with_body("RequestResponse", requestObject=BODY), "responseObject", "no body"),
        (PREDICTION, [record(COMPLETE, requestObject=BODY)], "no body", "requestObject"),
        (PREDICTION, [record(RECEIVED, requestObject=BODY)], "no body", "requestObject"),
        (
            WITH_BODY,
            with_body(requestObject={**BODY, "metadata": {"annotations": BODY["metadata"]["annotations"]}}),
            "requestObject.metadata.labels",
            "requestObject.metadata.labels missing, or another",
        ),
        (
            WITH_BODY,
            with_body(requestObject={**BODY, "containers": [{"a": 2}]}),
            "requestObject.containers[0].a",
            "requestObject.containers[0].a missing, or another",
        ),
        (
            WITH_BODY,
            with_body(requestObject={**BODY, "containers": []}),
            "requestObject.containers",
            "requestObject.containers missing, or another",
        ),
    ],
)
def test_a_body_that_lacks_something_or_should_not_be_there_is_a_contradiction(prediction, texts, predicted, found):
    compared = compare(prediction, texts, over=True)
    assert (compared.outcome, compared.field) == (Outcome.CONTRADICTED, "body")
    assert (compared.predicted, compared.found) == (predicted, found)


def test_a_secret_of_the_body_in_a_record_is_told_without_it():
    compared = compare(WITH_BODY, with_body(requestObject={**BODY, "data": SECRET}))
    assert (compared.outcome, compared.field) == (Outcome.CONTRADICTED, "redaction")
    assert SECRET not in compared.predicted + compared.found
