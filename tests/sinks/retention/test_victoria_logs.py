"""Answers that a real VictoriaLogs gives seldom, or never; what it does give is in tests/integration/shipping."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.sinks import Access, Failure, Reason
from audit_operator.sinks.retention.opening import open_retention
from audit_operator.sinks.retention.protocol import Done, Order
from audit_operator.sinks.retention.victoria_logs import _batches, _older
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
    return open_retention(sink.spec, Access(), None, clusters or ("main",), may_delete=True)


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
    assert _older(876_000, datetime(1000, 1, 1, tzinfo=UTC)) == "_time:<0900-01-25T00:00:00.000000Z _time:>876000h"


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
def test_every_namespace_is_in_one_question_and_no_question_is_too_long(namespaces):
    batches = list(_batches(namespaces))
    assert [name for batch in batches for name in batch] == namespaces
    assert all(sum(2 * (len(name) + 3) for name in batch) <= 12_000 for batch in batches)
