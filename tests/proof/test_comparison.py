"""Only a record of our own request counts, and only one that is as predicted proves anything."""

from __future__ import annotations

import json

import pytest

from audit_operator.api.audit import Level, Stage
from audit_operator.proof.comparison import Outcome, compare
from audit_operator.proof.prediction import Prediction
from audit_operator.proof.requests import Marks

MARKS = Marks("id", "probe-abc", "canary-abc")
PATH = "/api/v0probe/namespaces/payments/pods/probe-abc"
RECEIVED, COMPLETE = Stage.REQUEST_RECEIVED, Stage.RESPONSE_COMPLETE
PREDICTION = Prediction(
    {RECEIVED: Level.METADATA, COMPLETE: Level.METADATA},
    "payments",
    "get",
    f"{PATH}?probe-token=[REDACTED]",
    "prober",
    (),
)
NOTHING = Prediction({}, "payments", "get", PREDICTION.uri, "prober", ())


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
    assert compare(PREDICTION, MARKS, [record(RECEIVED), record(COMPLETE)]).outcome is Outcome.VERIFIED


def test_what_comes_twice_is_proof_as_well():
    texts = [record(RECEIVED), record(RECEIVED), record(COMPLETE)]
    assert compare(PREDICTION, MARKS, texts).outcome is Outcome.VERIFIED


def test_what_is_not_there_yet_is_waited_for_and_then_missing():
    assert compare(PREDICTION, MARKS, [record(RECEIVED)]).outcome is Outcome.PENDING
    compared = compare(PREDICTION, MARKS, [record(RECEIVED)], over=True)
    assert compared.outcome is Outcome.MISSING
    assert (compared.predicted, compared.found) == ("RequestReceived, ResponseComplete", "RequestReceived")
    assert compare(PREDICTION, MARKS, [], over=True).found == "none"


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
    compared = compare(PREDICTION, MARKS, [record(RECEIVED), record(COMPLETE, **changed)])
    assert compared.outcome is Outcome.CONTRADICTED
    assert (compared.field, compared.predicted, compared.found) == (field, predicted, found)
    assert MARKS.canary not in compared.found


def test_a_record_where_none_may_be_is_a_contradiction():
    compared = compare(NOTHING, MARKS, [record(COMPLETE)])
    assert (compared.outcome, compared.field, compared.predicted) == (Outcome.CONTRADICTED, "stages", "none")


def test_silence_is_proof_only_if_a_later_record_came():
    assert compare(NOTHING, MARKS, []).outcome is Outcome.PENDING
    assert compare(NOTHING, MARKS, [], over=True).outcome is Outcome.UNKNOWN
    assert compare(NOTHING, MARKS, [], over=True, witnessed=True).outcome is Outcome.VERIFIED


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
    compared = compare(PREDICTION, MARKS, [record(RECEIVED), stranger], over=True)
    assert compared.outcome is Outcome.MISSING
    assert compared.strangers == 1


def test_a_pseudonym_is_taken_for_ours():
    unnamed = Prediction(PREDICTION.levels, "payments", "get", PREDICTION.uri, None, ())
    texts = [record(stage, user={"username": "p-123"}) for stage in (RECEIVED, COMPLETE)]
    assert compare(unnamed, MARKS, texts).outcome is Outcome.VERIFIED
