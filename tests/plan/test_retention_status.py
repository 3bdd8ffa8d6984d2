from dataclasses import replace

import pytest

from audit_operator.api.policy_status import RetentionState
from audit_operator.api.retention_observations import RetentionObservation
from audit_operator.api.sink_retention import ClassRetention, RetentionOfSink, ToldNamespaces
from audit_operator.plan.retention import store_of
from audit_operator.plan.status import statuses
from tests.plan.test_retention import CENTRAL, planned_of, sink, tenants

POLICY = tenants("payments", maximum="30d")
SNAPSHOT, PLAN = planned_of(POLICY)


def said(state, reason="", about=("payments",), **more):
    one = ClassRetention(
        name="max30d",
        desired="at most 30d",
        effective="deletes after 400d",
        state=state,
        reason=reason,
        told=(ToldNamespaces(namespaces=about),),
    )
    status = RetentionOfSink(store=store_of(sink()), classes=(one,))
    return RetentionObservation(status, **({"asked": True} | more))


def told(seen, ref=POLICY.ref):
    status = statuses(SNAPSHOT, PLAN, {}, retention=seen)[ref]
    conditions = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
    return conditions["RetentionEnforced"], status.get("retention")


@pytest.mark.parametrize("state", RetentionState)
def test_what_a_store_says_is_the_condition_of_policy_and_sink_alike(state):
    holds = "True" if state is RetentionState.ENFORCED else "False"
    for ref in (POLICY.ref, CENTRAL):
        assert told({CENTRAL: said(state, "because")}, ref)[0] == (holds, state.value)
    [line] = told({CENTRAL: said(state, "because")})[1]
    assert (line["class"], line["state"], line["effective"]) == ("max30d", state.value, "deletes after 400d")


def test_a_store_that_is_away_leaves_what_was_proved_and_is_not_claimed_to_hold():
    seen = replace(said(RetentionState.ENFORCED), trouble="no connection")
    condition, [line] = told({CENTRAL: seen})
    assert condition == ("Unknown", "SinkUnreachable")
    assert (line["state"], line["reason"]) == ("Enforced", "SinkUnreachable: no connection")


def test_a_class_that_could_not_be_counted_keeps_what_was_proved_and_is_not_claimed_to_hold():
    seen = replace(said(RetentionState.ENFORCED), uncounted={"max30d": "it took too long"})
    condition, [line] = told({CENTRAL: seen})
    assert condition == ("Unknown", "SinkUnreachable")
    assert (line["state"], line["reason"]) == ("Enforced", "SinkUnreachable: it took too long")
    nothing = replace(seen, status=RetentionOfSink(store=store_of(sink())))
    condition, [line] = told({CENTRAL: nothing})
    assert condition == ("Unknown", "SinkUnreachable")
    assert (line["state"], line["reason"]) == ("Pending", "it took too long")
    assert told({CENTRAL: replace(seen, uncounted={"another": "it took too long"})})[0] == ("True", "Enforced")


def test_nothing_is_enforced_for_namespaces_that_the_store_was_not_asked_about():
    condition, [line] = told({CENTRAL: said(RetentionState.ENFORCED, about=("web",))})
    assert condition == ("Unknown", "NotVerified")
    assert (line["state"], line["reason"]) == ("Pending", "not asked yet")
    assert told({CENTRAL: said(RetentionState.ENFORCED, about=("web",))}, CENTRAL)[0] == ("Unknown", "NotVerified")


def test_what_an_earlier_operator_found_is_not_claimed_before_the_store_has_said_it_again():
    assert told({CENTRAL: said(RetentionState.ENFORCED, asked=False)})[0] == ("Unknown", "NotVerified")
    assert told({CENTRAL: said(RetentionState.PARTIAL, asked=False)})[0] == ("False", "Partial")


def test_a_store_that_cannot_be_asked_is_declared_by_hand():
    nothing = RetentionOfSink(store=store_of(sink()))
    condition, [line] = told({CENTRAL: RetentionObservation(nothing, "declare it there", unsupported=True)})
    assert condition == ("Unknown", "Unsupported")
    assert (line["state"], line["reason"]) == ("Unsupported", "declare it there")


def test_where_nobody_asks_nothing_is_claimed():
    assert told(None)[0] == ("Unknown", "NotImplemented")


def test_the_status_of_a_sink_is_not_written_before_what_it_remembers_was_read():
    assert CENTRAL not in statuses(SNAPSHOT, PLAN, {}, retention={})
    assert told({})[0] == ("Unknown", "NotVerified")
    seen = said(RetentionState.PENDING, "announced")
    assert statuses(SNAPSHOT, PLAN, {}, retention={CENTRAL: seen})[CENTRAL]["retention"]["classes"]
