"""Events are for what a person must do, and for when it is done."""

from __future__ import annotations

from audit_operator.cluster.events import EventType
from audit_operator.cluster.status import observe_status
from audit_operator.controller.notices import notice_of


def status(**conditions):
    return {
        "conditions": [
            {"type": type_, "status": value, "reason": reason, "message": f"about {type_}"}
            for type_, (value, reason) in conditions.items()
        ]
    }


STALLED = status(Ready=("False", "Invalid"), Stalled=("True", "WaitingForUser"))
READY = status(Ready=("True", "Ready"))
PENDING = status(Ready=("False", "Pending"), Reconciling=("True", "Progressing"))


def test_what_waits_for_a_person_is_said_with_the_reason():
    notice = notice_of(observe_status(PENDING), STALLED)
    assert (notice.type, notice.reason, notice.note) == (EventType.WARNING, "Invalid", "about Stalled")


def test_that_it_is_over_is_said_once():
    assert notice_of(observe_status(STALLED), READY).type is EventType.NORMAL
    assert notice_of(observe_status(READY), READY) is None


def test_the_steps_of_a_roll_out_are_not_said():
    assert notice_of(observe_status(None), PENDING) is None
    assert notice_of(observe_status(PENDING), READY) is None
