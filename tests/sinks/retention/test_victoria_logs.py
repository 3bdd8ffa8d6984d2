"""Answers that a real VictoriaLogs gives seldom, or never; what it does give is in tests/integration/shipping."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.policy_status import RetentionState
from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.retention.judgement import judge
from audit_operator.sinks import Access, Failure, Reason
from audit_operator.sinks.retention.opening import open_retention
from audit_operator.sinks.retention.protocol import Done, Order
from audit_operator.sinks.retention.victoria_logs_counts import (
    _FEW,
    _MOST_GROUPS,
    BOTH,
    Counted,
    Part,
    batches,
    older,
)
from audit_operator.sinks.retention.victoria_logs_settings import _hours
from tests.plan.objects import parsed
from tests.sinks.fake_store import serving

NOW = datetime(2026, 11, 28, tzinfo=UTC)
WANTED = RetentionClass(Demand(maximum=720), ("web",))
FLAGS = b"""\
flag{name="retentionPeriod", value="400d", is_set="true"} 1
flag{name="delete.enable", value="true", is_set="true"} 1
"""
COUNT = json.dumps({"total": "5", "beyond": "0", "oldest": "2026-11-27T00:00:00Z"}).encode()
FAR = COUNT.replace(b"2026-11-27T00:00:00Z", b"0001-01-01T00:00:00+14:00")


@pytest.fixture
async def server():
    async with serving() as store:
        store.answers = {
            "/metrics": (200, FLAGS),
            "/select/logsql/query": (200, COUNT),
            "/delete/active_tasks": (200, b"[]"),
        }
        yield store


def opened(server, *clusters):
    section = {"url": server.url, "accountID": 3, "projectID": 4}
    sink = parsed("ClusterAuditSink", "central", {"type": "VictoriaLogs", "victoriaLogs": section})
    return open_retention(sink, Access(), None, clusters or ("main",), may_delete=True)


def task(number, marked, account=3):
    mark = f'!auditID:="audit-operator-retention:{marked}" ' if marked else ""
    tenant = {"account_id": account, "project_id": 4}
    return {"task_id": number, "tenant_ids": [tenant], "filter": f"cluster:in(main) {mark}_time:<2026-11-01T00:00:00Z"}


async def test_deletions_of_people_of_other_clusters_and_of_other_tenants_are_left_alone(server):
    tasks = [
        task("1", "main"),
        task("2", "elsewhere"),
        task("3", ""),
        task("4", "main", account=9),
        task("5", "old,main"),
    ]
    server.answers["/delete/active_tasks"] = (200, json.dumps(tasks).encode())
    assert isinstance(await opened(server).enforce([], NOW), Done)
    assert [each.form["task_id"] for each in server.asked if each.path == "/delete/stop_task"] == ["1", "5"]
    assert all(each.headers["AccountID"] == "3" for each in server.asked if each.path.startswith("/delete"))


async def test_where_nothing_is_due_no_deletion_is_asked_for(server):
    assert await opened(server).enforce([Order(WANTED, ("web",), 720)], NOW) == Done({WANTED.name: 0})
    assert not [each for each in server.asked if each.path == "/delete/run_task"]


@pytest.mark.parametrize("years", [101, 300, 350, 584, 1500, 9999])
async def test_nothing_is_ever_older_than_centuries_which_the_store_cannot_count(server, years):
    server.answers["/select/logsql/query"] = (200, COUNT.replace(b'"beyond": "0"', b'"beyond": "5"'))
    wanted = RetentionClass(Demand(maximum=years * 8760), ("web",))
    assert await opened(server).enforce([Order(wanted, ("web",), years * 8760)], NOW) == Done({})
    await opened(server).observe([wanted], NOW)
    [counted] = [each.form["query"] for each in server.asked if each.path == "/select/logsql/query"]
    assert "count() if (!*) beyond" in counted
    assert not [each for each in server.asked if each.path == "/delete/run_task"]


def test_a_limit_has_all_digits_of_its_year():
    assert older(876_000, datetime(1000, 1, 1, tzinfo=UTC)) == "_time:<0900-01-25T00:00:00.000000Z _time:>876000h"


async def test_overdue_is_what_either_clock_says_and_deleted_what_both_say(server):
    server.answers["/select/logsql/query"] = (200, COUNT.replace(b'"beyond": "0"', b'"beyond": "5"'))
    server.answers["/delete/run_task"] = (200, b"{}")
    await opened(server).observe([WANTED], NOW)
    await opened(server).enforce([Order(WANTED, ("web",), 720)], NOW)
    [counted, *_] = [each.form["query"] for each in server.asked if each.path == "/select/logsql/query"]
    [deleted] = [each.form["filter"] for each in server.asked if each.path == "/delete/run_task"]
    assert "count() if (_time:<2026-10-29T00:00:00.000000Z or _time:>720h) beyond" in counted
    assert deleted.endswith(" _time:<2026-10-29T00:00:00.000000Z _time:>720h")


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'{"total": "x"}', b'{"total": "1"}', b"[" * 5000, FAR])
async def test_a_count_that_is_none_is_a_failure_and_no_zero(server, body):
    server.answers["/select/logsql/query"] = (200, body)
    found = await opened(server).observe([WANTED], NOW)
    assert isinstance(found, Failure)
    assert found.reason is Reason.ANSWER_MALFORMED


@pytest.mark.parametrize("body", [b"{}", b"[1]", b'[{"filter": 1}]', b"nonsense"])
async def test_a_list_of_deletions_that_is_none_stops_everything(server, body):
    server.answers["/delete/active_tasks"] = (200, body)
    server.answers["/select/logsql/query"] = (200, COUNT.replace(b'"beyond": "0"', b'"beyond": "5"'))
    found = await opened(server).enforce([Order(WANTED, ("web",), 720)], NOW)
    assert isinstance(found, Failure)
    assert not [each for each in server.asked if each.path == "/delete/run_task"]


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_proxy_that_hides_settings_leaves_them_unknown(server, status):
    server.answers["/metrics"] = (status, b"")
    seen = await opened(server).observe([WANTED], NOW)
    facts = seen.facts[WANTED.name]
    assert (facts.effective, facts.can_delete) == ("not known", False)
    assert "does not say" in facts.gaps[0].message


@pytest.mark.parametrize(
    ("flag", "hours"),
    [
        *(("7d", 168), ("1", 744), ("1.5", 1116), ("2w", 336), ("1y", 8760), ("1d12h", 36), ("90m", 1), ("1M", 744)),
        *((each, None) for each in ("", "-1d", "1x", "d")),
    ],
)
def test_durations_are_read_as_the_store_does_and_never_longer(flag, hours):
    assert _hours(flag) == hours


names = st.lists(st.text("abcdefghij-0123456789", min_size=1, max_size=63), max_size=400, unique=True)


@given(names)
def test_every_namespace_is_in_one_filter_and_no_filter_is_too_long(namespaces):
    made = list(batches(namespaces))
    assert [name for batch in made for name in batch] == namespaces
    assert all(sum(2 * (len(name) + 3) for name in batch) <= 12_000 for batch in made)


MANY = tuple(f"namespace-{number:050}" for number in range(1000))
BEYOND_30_DAYS = RetentionClass(Demand(maximum=720), MANY)
BEYOND_60_DAYS = RetentionClass(Demand(maximum=1440), ("", "web"))
OLDEST = "2026-09-01T00:00:00Z"


def groups(*rows):
    return b"".join(json.dumps({"oldest": OLDEST} | row).encode() + b"\n" for row in rows)


async def answer_by_namespace(server, body, *, filters=COUNT):
    """What it answers to a question by namespace, and to all others."""

    async def query(form):
        await asyncio.sleep(0)
        return (200, body) if "stats by" in form["query"] else filters(form) if callable(filters) else (200, filters)

    server.by_form["/select/logsql/query"] = query


async def test_many_namespaces_are_counted_in_one_question_and_foreign_ones_left_out(server):
    answer = groups(
        {"namespace": MANY[3], "beyond0": "0", "beyond1": "5"},
        {"namespace": MANY[4], "beyond0": "1", "beyond1": "0", "oldest": "2026-08-01T00:00:00Z"},
        {"unseen": MANY[3], "beyond0": "0", "beyond1": "2"},
        {"beyond0": "7", "beyond1": "7"},
        {"namespace": "foreign", "beyond0": "90", "beyond1": "90", "oldest": "2020-01-01T00:00:00Z"},
        {"namespace": "web", "unseen": MANY[5], "beyond0": "20", "beyond1": "40"},
    )
    await answer_by_namespace(server, answer)
    # The limits are asked for in the order of classes; this one has to find its own.
    seen = await opened(server).observe([BEYOND_60_DAYS, BEYOND_30_DAYS], NOW)
    many, few = seen.facts[BEYOND_30_DAYS.name], seen.facts[BEYOND_60_DAYS.name]
    assert (many.overdue, few.overdue) == (5 + 0 + 2 + 40, 7 + 20)
    assert many.oldest == datetime(2026, 8, 1, tzinfo=UTC)
    assert few.oldest == datetime(2026, 9, 1, tzinfo=UTC)
    [query] = [each.form["query"] for each in server.asked if each.path == "/select/logsql/query"]
    assert query.startswith('cluster:in("main") | stats by (namespace, unseen) min(_time) oldest, count() if (')


async def test_only_namespaces_that_have_something_due_are_in_a_deletion(server):
    await answer_by_namespace(
        server, groups({"namespace": MANY[3], "beyond0": "5"}, {"namespace": "x", "beyond0": "9"})
    )
    server.answers["/delete/run_task"] = (200, b"{}")
    done = await opened(server).enforce([Order(BEYOND_30_DAYS, MANY, 720)], NOW)
    assert done == Done({BEYOND_30_DAYS.name: 0})
    [given] = [each.form["filter"] for each in server.asked if each.path == "/delete/run_task"]
    assert MANY[3] in given
    assert MANY[4] not in given


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense\n",
        b"[]\n",
        groups({"namespace": MANY[0]}),
        groups({"namespace": MANY[0], "beyond0": "x"}),
        groups({"namespace": MANY[0], "beyond0": "1"})[:-3],
        groups(*({"namespace": f"x{number}"} for number in range(_MOST_GROUPS + 1))),
    ],
    ids=["empty", "nonsense", "list", "no-count", "no-number", "cut-off", "too-many"],
)
async def test_an_answer_by_namespace_that_is_none_or_too_much_has_filters_asked_after_all(server, body):
    await answer_by_namespace(server, body, filters=COUNT.replace(b'"beyond": "0"', b'"beyond": "3"'))
    seen = await opened(server).observe([BEYOND_30_DAYS], NOW)
    asked = [each.form["query"] for each in server.asked if each.path == "/select/logsql/query"]
    assert len(asked) == 1 + len(list(batches(MANY)))
    assert seen.facts[BEYOND_30_DAYS.name].overdue == 3 * len(list(batches(MANY)))
    assert len(asked) - 1 > _FEW


async def test_a_class_that_cannot_be_counted_leaves_the_others_alone(server):
    fails = RetentionClass(Demand(maximum=48), ("fails",))
    await answer_by_namespace(
        server, b"", filters=lambda form: (400, b"") if "fails" in form["query"] else (200, COUNT)
    )
    seen = await opened(server).observe([fails, WANTED], NOW)
    assert set(seen.facts) == {WANTED.name}
    assert seen.uncounted[fails.name].reason is Reason.REFUSED
    server.answers["/delete/run_task"] = (200, b"{}")
    done = await opened(server).enforce([Order(fails, ("fails",), 48), Order(WANTED, ("web",), 720)], NOW)
    assert (done.deleted, set(done.uncounted)) == ({WANTED.name: 0}, {fails.name})
    assert not [each for each in server.asked if each.path == "/delete/run_task"]
    assert isinstance(await opened(server).observe([fails], NOW), Failure)


async def test_a_store_that_refuses_us_is_not_asked_once_for_each_class(server):
    server.answers["/select/logsql/query"] = (403, b"")
    others = [RetentionClass(Demand(maximum=number), (f"ns{number}",)) for number in range(1, 20)]
    found = await opened(server).observe([*others, BEYOND_30_DAYS], NOW)
    assert found.reason is Reason.FORBIDDEN
    assert len([each for each in server.asked if each.path == "/select/logsql/query"]) == 1


async def test_what_takes_too_long_is_given_up_and_the_rest_is_counted(server):
    async def query(form):
        await asyncio.sleep(60.0 if "stats by" in form["query"] or MANY[0] in form["query"] else 0.0)
        return 200, COUNT

    server.by_form["/select/logsql/query"] = query
    counts = replace(opened(server)._counts, patience=10.0)
    for slow in (MANY, MANY[:1]):
        late, counted = await counts.count([Part(slow, 720), Part(("web",), 720)], NOW, BOTH)
        assert late.reason is Reason.TIMED_OUT
        assert counted == Counted(0, (), datetime(2026, 11, 27, tzinfo=UTC))


@pytest.mark.parametrize("status", [307, 400, 401, 403, 404])
async def test_a_proxy_that_keeps_deletions_away_leaves_the_rest_to_be_judged(server, status):
    server.answers["/delete/active_tasks"] = (status, b"")
    held = RetentionClass(Demand(maximum=720, legal_hold=True), ("held",))
    seen = await opened(server).observe([WANTED, held], NOW)
    for each in (WANTED, held):
        assert not seen.facts[each.name].can_delete
        made = judge(each, seen.facts[each.name], opened(server).mends)
        assert made.state is RetentionState.PARTIAL
        assert f"that were ordered before (the store answered with HTTP status {status})" in made.reason
    done = await opened(server).enforce([Order(WANTED, ("web",), 720)], NOW)
    assert (done.deleted, done.refused.message) == ({}, f"the store answered with HTTP status {status}")


async def test_a_proxy_that_shows_deletions_and_takes_none_is_found_out_when_one_is_given(server):
    server.answers["/select/logsql/query"] = (200, COUNT.replace(b'"beyond": "0"', b'"beyond": "5"'))
    server.answers["/delete/run_task"] = (403, b"")
    done = await opened(server).enforce([Order(WANTED, ("web",), 720)], NOW)
    assert (done.deleted, done.refused.reason) == ({WANTED.name: 0}, Reason.FORBIDDEN)


async def test_a_delete_api_that_fails_is_a_failure_and_not_refused(server):
    server.answers["/delete/active_tasks"] = (503, b"")
    assert (await opened(server).observe([WANTED], NOW)).reason is Reason.STORE_FAILED
    assert (await opened(server).enforce([], NOW)).reason is Reason.STORE_FAILED


MERGES = FLAGS + b'vl_active_merges{type="storage/small"} %d\nvl_active_merges{type="indexdb/file"} 1\n'


class Working:
    """A store that merges twice after each deletion, and says what it was doing whenever it was given one."""

    def __init__(self, server, *, looks=2):
        self.looks, self.merging, self.tasks, self.given = looks, 1, [], []
        server.by_form |= {
            "/metrics": self.metrics,
            "/delete/run_task": self.run,
            "/delete/active_tasks": self.active,
        }

    async def metrics(self, _):
        self.merging = max(0, self.merging - 1)
        return 200, MERGES % self.merging

    async def run(self, form):
        self.given.append((self.merging, len(self.tasks)))
        self.tasks = [task("1", "main") | {"filter": form["filter"]}] * self.looks
        return 200, b"{}"

    async def active(self, _):
        shown, self.tasks, self.merging = self.tasks[:1], self.tasks[1:], 3
        return 200, json.dumps(shown).encode()


def everything_is_due(_):
    return 200, COUNT.replace(b'"beyond": "0"', b'"beyond": "5"')


async def test_a_deletion_is_given_when_the_last_one_is_through_and_what_that_set_off_is_merged(server):
    """Else a store can end: see the module."""
    await answer_by_namespace(server, b"", filters=everything_is_due)
    working, others = Working(server), RetentionClass(Demand(maximum=24), ("other",))
    orders = [Order(WANTED, ("web",), 720), Order(others, ("other",), 24)]
    done = await opened(server).enforce(orders, NOW)
    assert working.given == [(0, 0), (0, 0)]
    assert done == Done({WANTED.name: 0, others.name: 0})


async def test_a_store_that_always_merges_gets_its_deletions_all_the_same(server):
    await answer_by_namespace(server, b"", filters=everything_is_due)
    working = Working(server)
    server.answers["/metrics"] = (200, MERGES % 1)
    del server.by_form["/metrics"]
    await replace(opened(server), rest=0.1).enforce([Order(WANTED, ("web",), 720)], NOW)
    assert len(working.given) == 1


async def test_a_deletion_that_takes_its_time_keeps_the_next_one_for_later(server):
    await answer_by_namespace(server, b"", filters=everything_is_due)
    working, others = Working(server, looks=10_000), RetentionClass(Demand(maximum=24), ("other",))
    orders = [Order(WANTED, ("web",), 720), Order(others, ("other",), 24)]
    done = await replace(opened(server), patience=1.0).enforce(orders, NOW)
    assert len(working.given) == 1
    assert done.under_way
