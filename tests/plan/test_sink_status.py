"""What a store says of itself counts, and that the operator cannot ask one says nothing against what is delivered."""

from __future__ import annotations

import pytest

from audit_operator.api.conditions import ConditionStatus, ConditionType, Reason
from audit_operator.api.findings import ObjectRef
from audit_operator.api.store_observations import Drop, StoreFigures, StoreObservation, StoreState
from audit_operator.plan.claim import false, true, unknown
from audit_operator.plan.sink_status import with_store

SINK = ObjectRef("AuditSink", "own", "payments")
SHIPPING = ConditionType.SHIPPING
FLOWING = true(SHIPPING, Reason.SHIPPING, "all sinks take what is sent to them")
NOTHING = unknown(SHIPPING, Reason.NOTHING_YET, "AuditSink payments/own: nothing was sent yet")
BACKLOG = false(SHIPPING, Reason.BACKLOG, "AuditSink payments/own: records wait")
LOSSY = false(SHIPPING, Reason.LOSSY, "AuditSink payments/own: records were given up lately")
CLAIMS = (FLOWING, NOTHING, BACKLOG, LOSSY)


def seen(state, *drops, message="it says no", mend="mend it"):
    return StoreObservation(state, message, mend, drops)


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("observation", [None, seen(StoreState.NOT_ASKED), seen(StoreState.TAKING)])
def test_a_store_that_takes_writes_or_was_not_asked_changes_nothing(claim, observation):
    assert with_store(claim, SINK, observation) is claim


def test_what_is_delivered_is_not_doubted_because_the_operator_has_no_way_there():
    judged = with_store(FLOWING, SINK, seen(StoreState.UNREACHABLE))
    assert (judged.status, judged.reason) == (ConditionStatus.TRUE, Reason.SHIPPING)
    assert "AuditSink payments/own is not checked from the operator: it says no (mend it)" in judged.message


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        (StoreState.UNREACHABLE, ConditionStatus.UNKNOWN, Reason.SINK_UNREACHABLE),
        (StoreState.UNAUTHENTICATED, ConditionStatus.FALSE, Reason.SINK_UNAUTHENTICATED),
        (StoreState.REFUSING, ConditionStatus.FALSE, Reason.SINK_REFUSING),
        (StoreState.REDIRECTING, ConditionStatus.FALSE, Reason.SINK_REFUSING),
    ],
)
def test_before_anything_was_sent_the_store_has_the_first_word(state, status, reason):
    judged = with_store(NOTHING, SINK, seen(state))
    assert (judged.status, judged.reason) == (status, reason)
    assert str(SINK) in judged.message
    assert "(mend it)" in judged.message


def test_a_store_that_redirects_is_not_believed_to_have_taken_anything():
    judged = with_store(FLOWING, SINK, seen(StoreState.REDIRECTING))
    assert (judged.status, judged.reason) == (ConditionStatus.FALSE, Reason.SINK_REFUSING)
    assert "for success" in judged.message


@pytest.mark.parametrize("claim", [BACKLOG, LOSSY])
def test_trouble_of_the_shipper_is_explained_by_what_the_store_says(claim):
    judged = with_store(claim, SINK, seen(StoreState.UNAUTHENTICATED))
    assert (judged.status, judged.reason) == (claim.status, claim.reason)
    assert judged.message == f"{claim.message}; asked by the operator: it says no (mend it)"


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("drop", Drop)
def test_a_store_that_throws_records_away_is_lossy_whatever_shippers_believe(claim, drop):
    judged = with_store(claim, SINK, seen(StoreState.TAKING, drop))
    assert (judged.status, judged.reason) == (ConditionStatus.FALSE, Reason.LOSSY)
    assert "thrown away" in judged.message
    assert "does not say whose" in judged.message
    assert str(SINK) in judged.message


@pytest.mark.parametrize("state", StoreState)
@pytest.mark.parametrize("claim", CLAIMS)
def test_no_trouble_makes_a_claim_better(claim, state):
    judged = with_store(claim, SINK, seen(state))
    order = [ConditionStatus.FALSE, ConditionStatus.UNKNOWN, ConditionStatus.TRUE]
    assert order.index(judged.status) <= order.index(claim.status)


def test_figures_make_no_difference_between_observations():
    some, others = StoreFigures(True, 0.1, {Drop.TOO_OLD: 3}), StoreFigures(True, 0.2, {Drop.TOO_OLD: 4})
    assert StoreObservation(figures=some) == StoreObservation(figures=others)
