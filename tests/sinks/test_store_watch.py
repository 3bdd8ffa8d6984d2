"""A hiccup is no news, a refusal is; and what a store throws away shows in the growth of its counters."""

import pytest

from audit_operator.api.store_observations import Drop, StoreState
from audit_operator.sinks.access import failure
from audit_operator.sinks.store import Health, Reason, Unsupported
from audit_operator.sinks.store_watch import DROPS_SHOWN, Asked, StoreWatch, ask
from tests.sinks.conftest import opened

TAKING = Asked(health=Health(writable=True, dropped=None))


def troubled(reason):
    return Asked(failure(reason, "trouble"))


def dropped(**counters):
    return Asked(health=Health(writable=True, dropped=counters))


def test_one_question_without_an_answer_is_no_news_and_two_are():
    watch = StoreWatch()
    assert watch.note(0, TAKING).state is StoreState.TAKING
    once = watch.note(60, troubled(Reason.TIMED_OUT))
    assert once.state is StoreState.TAKING
    assert not once.figures.up
    assert watch.note(120, troubled(Reason.UNREACHABLE)).state is StoreState.UNREACHABLE
    assert watch.note(180, TAKING).state is StoreState.TAKING


def test_a_store_that_has_never_answered_is_not_called_unreachable_at_once():
    watch = StoreWatch()
    assert watch.note(0, troubled(Reason.TIMED_OUT)).state is StoreState.NOT_ASKED
    assert watch.note(5, troubled(Reason.TIMED_OUT)).state is StoreState.UNREACHABLE


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (Reason.UNAUTHENTICATED, StoreState.UNAUTHENTICATED),
        (Reason.FORBIDDEN, StoreState.UNAUTHENTICATED),
        (Reason.CREDENTIALS_INVALID, StoreState.UNAUTHENTICATED),
        (Reason.NOT_FOUND, StoreState.REFUSING),
        (Reason.TLS_FAILED, StoreState.REFUSING),
        (Reason.REDIRECTED, StoreState.REDIRECTING),
    ],
)
def test_a_refusal_is_said_at_once(reason, state):
    observed = StoreWatch().note(0, troubled(reason))
    assert (observed.state, observed.message) == (state, "trouble")
    assert observed.mend


def test_a_store_without_room_takes_nothing():
    observed = StoreWatch().note(0, Asked(health=Health(writable=False, dropped=None)))
    assert observed.state is StoreState.REFUSING
    assert "read-only" in observed.message
    assert not observed.figures.up


def test_a_store_that_cannot_be_asked_is_no_trouble():
    observed = StoreWatch().note(0, Asked(Unsupported("files are in a volume")))
    assert (observed.state, observed.message) == (StoreState.NOT_ASKED, "files are in a volume")


def test_what_was_dropped_before_anybody_looked_is_not_held_against_a_store():
    assert StoreWatch().note(0, dropped(too_small_timestamp=7)).drops == ()


def test_what_grows_is_shown_for_an_hour():
    watch = StoreWatch()
    watch.note(0, dropped(too_small_timestamp=7, debug=0))
    grown = watch.note(60, dropped(too_small_timestamp=9, debug=0))
    assert grown.drops == (Drop.TOO_OLD,)
    assert grown.figures.dropped == {Drop.TOO_OLD: 2, Drop.OTHER: 0}
    assert watch.note(60 + DROPS_SHOWN - 1, dropped(too_small_timestamp=9)).drops == (Drop.TOO_OLD,)
    assert watch.note(60 + DROPS_SHOWN, dropped(too_small_timestamp=9)).drops == ()


def test_a_counter_that_begins_anew_with_its_store_goes_on_here():
    watch = StoreWatch()
    watch.note(0, dropped(too_big_timestamp=7))
    watch.note(60, dropped(too_big_timestamp=8))
    restarted = watch.note(120, dropped(too_big_timestamp=3))
    assert restarted.figures.dropped[Drop.TOO_NEW] == 4


def test_a_counter_that_appears_has_grown_from_nothing():
    watch = StoreWatch()
    watch.note(0, dropped(debug=0))
    assert watch.note(60, dropped(debug=0, too_many_fields=1)).drops == (Drop.TOO_MANY_FIELDS,)


def test_a_stores_own_words_become_ours():
    watch = StoreWatch()
    watch.note(0, dropped(debug=0))
    observed = watch.note(60, dropped(internal_host_names=5))
    assert observed.drops == (Drop.OTHER,)
    assert "internal_host_names" not in str(observed)


async def test_a_store_that_hides_its_health_takes_writes_all_the_same(server):
    server.answers = {"/health": (404, b""), "/metrics": (404, b"")}
    assert await ask(opened("VictoriaLogs", server.url)) is None


async def test_a_store_is_asked_for_what_it_drops(server):
    server.answers = {"/metrics": (200, b'vl_rows_dropped_total{reason="too_small_timestamp"} 7\n')}
    assert await ask(opened("VictoriaLogs", server.url)) == Health(True, {"too_small_timestamp": 7})


async def test_the_failure_of_a_write_is_the_answer(server):
    server.status = 401
    assert (await ask(opened("VictoriaLogs", server.url))).reason is Reason.UNAUTHENTICATED


@pytest.mark.parametrize(
    "metrics",
    [
        b'vl_rows_dropped_total{reason="' * 100_000,
        b'vl_rows_dropped_total{reason="\n' * 100_000,
        b"vl_rows_dropped_total{} " + b"9" * 100_000,
        b'vl_rows_dropped_total{reason="x"} 99999999999999999999',
        b'vl_rows_dropped_total{reason="x"} -1',
        b"\xff\xfe",
    ],
)
async def test_metrics_that_are_made_to_hurt_are_passed_over(server, metrics):
    server.answers = {"/metrics": (200, metrics)}
    assert await ask(opened("VictoriaLogs", server.url)) == Health(True, None)


async def test_metrics_without_an_end_are_not_read_to_it(server):
    server.answers = {"/metrics": (200, b"a 1\n" * 2**21)}
    assert await ask(opened("VictoriaLogs", server.url)) == Health(True, None)
