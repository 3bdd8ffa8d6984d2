"""`hot` across sinks: what can be searched at once, for how long, and what nobody has said."""

from dataclasses import replace

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.policy_status import RetentionState
from audit_operator.api.retention_observations import RetentionObservation
from audit_operator.api.sink_retention import ClassRetention, RetentionOfSink, ToldNamespaces
from audit_operator.plan.status import statuses
from tests.plan.objects import parsed
from tests.plan.test_retention import CENTRAL, planned_of, sink

ARCHIVE = ObjectRef("ClusterAuditSink", "archive")
BUCKET = parsed(
    "ClusterAuditSink", "archive", {"type": "S3", "s3": {"endpoint": "https://s3", "bucket": "audit", "region": "one"}}
)
OTLP = parsed("ClusterAuditSink", "archive", {"type": "OTLP", "otlp": {"endpoint": "http://store"}})
LOGS = sink("archive", "http://elsewhere:9428")
NAME = "min366d-hot92d"


def policy(*names):
    refs = [{"kind": "ClusterAuditSink", "name": each} for each in names]
    return parsed(
        "AuditPolicy",
        "own",
        {
            "rules": [{"level": "Metadata"}],
            "sinkRefs": refs,
            "compliance": {"frameworks": ["PCI-DSS-4"]},
        },
        "payments",
    )


BOTH, ONLY_ARCHIVE = policy("central", "archive"), policy("archive")


def said(searchable="", about=("payments",), **more):
    one = ClassRetention(
        name=NAME,
        desired="at least 366d, 92d at once",
        effective="keeps for ever",
        searchable=searchable,
        state=RetentionState.ENFORCED,
        told=(ToldNamespaces(namespaces=about),),
    )
    return RetentionObservation(RetentionOfSink(store="a store", classes=(one,)), **({"asked": True} | more))


NOBODY_KNOWS = RetentionObservation(RetentionOfSink(store="a store"), "declare it there", unsupported=True)


def judged(asks, sinks, seen):
    snapshot, made = planned_of(asks, sinks=sinks)
    told = statuses(snapshot, made, {}, retention=seen)
    conditions = {
        ref.name: next(
            (each["status"], each["reason"], each["message"])
            for each in told[ref]["conditions"]
            if each["type"] == "RetentionEnforced"
        )
        for ref in (asks.ref, *seen)
    }
    return conditions, {each["sink"]["name"]: each for each in told[asks.ref]["retention"]}


@pytest.mark.parametrize("long_enough", ["92d", "400d", "for ever"])
def test_an_archive_is_good_enough_where_another_sink_of_the_policy_can_be_searched(long_enough):
    seen = {CENTRAL: said(long_enough), ARCHIVE: said()}
    conditions, lines = judged(BOTH, (sink(), BUCKET), seen)
    assert {each[:2] for each in conditions.values()} == {("True", "Enforced")}
    assert {each["state"] for each in lines.values()} == {"Enforced"}
    assert lines["central"]["searchable"] == long_enough
    assert "searchable" not in lines["archive"]


def test_what_can_be_searched_for_less_long_is_partial_in_policy_and_sinks():
    seen = {CENTRAL: said("91d"), ARCHIVE: said()}
    conditions, lines = judged(BOTH, (sink(), BUCKET), seen)
    for status, reason, message in conditions.values():
        assert (status, reason) == ("False", "Partial")
        assert "92d of records are to be searchable at once" in message
    assert all(each["state"] == "Partial" and "searchable at once" in each["reason"] for each in lines.values())


def test_two_stores_of_which_one_keeps_for_long_enough_are_good_enough():
    conditions, _ = judged(BOTH, (sink(), LOGS), {CENTRAL: said("7d"), ARCHIVE: said("100d")})
    assert {each[:2] for each in conditions.values()} == {("True", "Enforced")}


def test_a_bucket_alone_is_none_that_can_be_searched_also_where_another_policy_ships_to_one():
    conditions, lines = judged(ONLY_ARCHIVE, (sink(), BUCKET), {ARCHIVE: said()})
    assert conditions["own"][:2] == ("False", "Partial")
    assert lines["archive"]["state"] == "Partial"


@pytest.mark.parametrize(
    "unsaid",
    [
        replace(said("400d"), trouble="no connection"),
        replace(said("400d"), uncounted={NAME: "it took too long"}),
        replace(said("400d"), asked=False),
        said("400d", about=("web",)),
    ],
    ids=["away", "not-counted", "said-earlier", "another-namespace"],
)
def test_what_was_not_said_lately_of_this_namespace_is_not_known(unsaid):
    conditions, lines = judged(BOTH, (sink(), BUCKET), {CENTRAL: unsaid, ARCHIVE: said()})
    assert conditions["own"][0] == conditions["archive"][0] == "Unknown"
    assert lines["archive"]["state"] == "Enforced"
    assert "has not said for how long" in lines["archive"]["reason"]


def test_where_nobody_can_ask_nobody_knows():
    conditions, _ = judged(ONLY_ARCHIVE, (OTLP,), {ARCHIVE: NOBODY_KNOWS})
    assert conditions["own"][:2] == ("Unknown", "Unsupported")
    conditions, _ = judged(BOTH, (sink(), OTLP), {CENTRAL: said("7d"), ARCHIVE: NOBODY_KNOWS})
    assert conditions["own"][:2] == ("Unknown", "Unsupported")
