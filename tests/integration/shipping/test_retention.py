"""What a real VictoriaLogs keeps, and what it deletes when it is told: counted, and nothing else."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.api.policy_status import RetentionState
from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.retention.judgement import judge
from audit_operator.retention.searchable import searchable
from audit_operator.sinks import Access, Failure, Reason
from audit_operator.sinks.retention.opening import open_retention
from audit_operator.sinks.retention.protocol import Done, Order
from audit_operator.sinks.retention.victoria_logs_counts import EITHER, Part
from tests.integration.shipping.door import Door
from tests.integration.shipping.victoria_logs import settled, victoria_logs
from tests.plan.objects import parsed

DAY, FAR = 24, 1e12
MAIN, TENANT = "main", {"AccountID": "7"}


def insert(url, namespace, ages, *, cluster=MAIN, field="namespace", **headers):
    """One record for each age in days."""
    now = datetime.now(UTC)
    rows = [
        {"_time": (now - timedelta(days=age)).isoformat(), "_msg": "{}", "cluster": cluster, "auditID": f"{number}"}
        | ({field: namespace} if namespace else {})
        for number, age in enumerate(ages)
    ]
    write(url, rows, **headers)


def write(url, rows, **headers):
    request = urllib.request.Request(  # noqa: S310  # loopback
        f"{url}/insert/jsonline?_stream_fields=cluster,namespace",
        "\n".join(map(json.dumps, rows)).encode(),
        {"Content-Type": "application/stream+json", **headers},
    )
    with urllib.request.urlopen(request, timeout=60):  # noqa: S310
        pass


def count(url, query, **headers):
    body = urllib.parse.urlencode({"query": f"{query} | stats count() n"}).encode()
    request = urllib.request.Request(f"{url}/select/logsql/query", body, headers)  # noqa: S310  # loopback
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return int(json.loads(answer.read())["n"])


async def shows(url, number, **headers):
    """What was written shows after a second, and is on disk after two."""
    for _ in range(1800):
        if await asyncio.to_thread(count, url, "*", **headers) == number:
            await settled(url)
            return
        await asyncio.sleep(0.1)
    raise AssertionError(await asyncio.to_thread(count, url, "*", **headers))


def retention(url, *, may_delete=True, account=0):
    section = {"url": url, "accountID": account}
    sink = parsed("ClusterAuditSink", "central", {"type": "VictoriaLogs", "victoriaLogs": section})
    return open_retention(sink, Access(), None, (MAIN,), may_delete=may_delete)


def kept(*namespaces, **demand):
    return RetentionClass(Demand(**demand), namespaces)


async def judged(store, wanted):
    seen = await store.observe([wanted], datetime.now(UTC))
    return judge(wanted, seen.facts[wanted.name], store.mends)


async def enforced(store, *orders):
    done = await store.enforce(orders, datetime.now(UTC))
    assert isinstance(done, Done), done
    assert not done.under_way
    return done.deleted


async def test_records_beyond_their_time_go_and_younger_and_foreign_ones_stay(tmp_path):
    with victoria_logs(tmp_path, "-retentionPeriod=400d", "-delete.enable") as url:
        insert(url, "payments", [100] * 40 + [29] * 30)
        insert(url, "web", [100] * 20 + [91] * 10 + [1] * 5)
        insert(url, 'in")', [100] * 3)
        insert(url, "payments", [100] * 4, cluster="another")
        insert(url, "", [100] * 6)
        insert(url, "payments", [100] * 2, field="unseen")
        insert(url, "payments", [100] * 8, **TENANT)
        await shows(url, 120)
        await shows(url, 8, **TENANT)
        store = retention(url)
        payments, web = kept("payments", maximum=30 * DAY), kept("web", minimum=95 * DAY, maximum=95 * DAY)
        assert (await judged(store, payments)).state is RetentionState.PENDING

        orders = Order(payments, ("payments",), 30 * DAY), Order(web, ("web",), 95 * DAY)
        for wrong in (timedelta(days=-1000), timedelta(days=1000)):
            # Whichever clock is wrong, what the other says is overdue; nothing goes before both say so.
            seen = await store.observe([payments], datetime.now(UTC) + wrong)
            assert seen.facts[payments.name].overdue == (42 if wrong < timedelta() else 72)
        assert await store.enforce(orders, datetime.now(UTC) - timedelta(days=1000)) == Done(
            {payments.name: 0, web.name: 0}
        )
        assert await enforced(store, *orders) == {payments.name: 42, web.name: 20}
        assert count(url, "cluster:=main namespace:=payments") == 30
        assert count(url, "cluster:=main namespace:=web") == 15
        assert count(url, "cluster:=another") == 4
        assert count(url, 'cluster:=main namespace:=""') == 6
        assert count(url, 'namespace:="in\\")"') == 3
        assert count(url, "*", **TENANT) == 8
        assert (await judged(store, payments)).state is RetentionState.ENFORCED
        assert await enforced(store, *orders) == {payments.name: 0, web.name: 0}

        seen = await store.observe([web], datetime.now(UTC))
        assert timedelta(days=91) <= datetime.now(UTC) - seen.facts[web.name].oldest < timedelta(days=92)

        none = kept("", maximum=30 * DAY)
        assert await enforced(store, Order(none, ("",), 30 * DAY)) == {none.name: 6}
        broken = kept('in")', maximum=30 * DAY)
        assert await enforced(store, Order(broken, ('in")',), 30 * DAY)) == {broken.name: 3}
        # It leaves rows without any field where the oldest record of a block was deleted (VictoriaLogs issue 1798).
        assert count(url, "cluster:*") == 49
        assert await enforced(retention(url, account=7), Order(payments, ("payments",), 30 * DAY)) == {payments.name: 8}


async def test_thousands_of_namespaces_are_counted_and_deleted_in_few_questions_and_none_is_mistaken(tmp_path):
    mine = [f"namespace-{number:05}-with-a-long-name-as-generated-ones-have" for number in range(2000)]
    with victoria_logs(tmp_path, "-retentionPeriod=400d", "-delete.enable") as url:
        now = datetime.now(UTC)
        ages = {name: 100 - number % 100 for number, name in enumerate([*mine, "", "foreign", 'quo"te'])}
        rows = [
            {"_time": (now - timedelta(days=age, hours=1)).isoformat(), "_msg": "{}", "cluster": cluster, field: name}
            for name, age in ages.items()
            for cluster, field in ((MAIN, "namespace"), (MAIN, "unseen"), ("another", "namespace"))
        ]
        write(url, rows)
        await shows(url, len(rows))
        store = retention(url)
        long, short = kept(*mine[::2], maximum=60 * DAY), kept("", 'quo"te', *mine[1::2], maximum=20 * DAY)
        seen = await store.observe([long, short], now)
        expected = {
            each.name: 2 * sum(ages[name] * DAY + 1 > each.demand.maximum for name in each.namespaces)
            for each in (long, short)
        }
        assert {name: each.overdue for name, each in seen.facts.items()} == expected
        parts = [Part(each.namespaces, each.demand.maximum) for each in (long, short)]
        alone = [await store._counts._by_filters(each, now, EITHER, FAR) for each in parts]
        assert [each.beyond for each in alone] == list(expected.values())
        assert [each.oldest for each in alone] == [seen.facts[each.name].oldest for each in (long, short)]

        orders = [Order(each, each.namespaces, each.demand.maximum) for each in (long, short)]
        assert await enforced(store, *orders) == expected
        assert count(url, f"cluster:={MAIN}") == len(ages) * 2 - sum(expected.values())
        assert count(url, "cluster:=another") == len(ages)
        assert count(url, f"cluster:={MAIN} (namespace:=foreign or unseen:=foreign)") == 2


async def test_namespaces_that_somebody_invents_do_not_keep_others_from_being_counted(tmp_path):
    """Whoever may send requests can name any; a store bounds what it takes to tell all of them apart."""
    mine, invented = [f"mine-{'x' * 50}-{number}" for number in range(1000)], 60_000
    with victoria_logs(tmp_path, "-retentionPeriod=400d", "-memory.allowedBytes=20MB") as url:
        record = {"_time": (datetime.now(UTC) - timedelta(days=50)).isoformat(), "_msg": "{}", "cluster": MAIN}
        for first in range(0, invented, 10_000):
            write(url, [record | {"unseen": f"nobody-{'x' * 40}-{first + number}"} for number in range(10_000)])
        write(url, [record | {"namespace": each} for each in mine])
        await shows(url, invented + len(mine))
        counts, wanted = retention(url)._counts, kept(*mine, maximum=30 * DAY)
        part = Part(wanted.namespaces, wanted.demand.maximum)
        assert await counts._by_namespace([part], datetime.now(UTC), EITHER, FAR) == {}
        seen = await retention(url).observe([wanted], datetime.now(UTC))
        assert seen.facts[wanted.name].overdue == len(mine)


async def test_a_proxy_that_keeps_deletions_away_leaves_the_store_to_be_judged(tmp_path):
    with victoria_logs(tmp_path, "-retentionPeriod=400d", "-delete.enable") as url:
        insert(url, "payments", [100] * 5)
        await shows(url, 5)
        proxy, wanted = Door(url), kept("payments", maximum=30 * DAY)
        order = Order(wanted, ("payments",), 30 * DAY)
        async with proxy.open():
            for closed in ("/delete", "/delete/run_task"):
                proxy.closed = (closed,)
                store = retention(proxy.url)
                seen = await store.observe([wanted], datetime.now(UTC))
                assert (seen.facts[wanted.name].overdue, seen.facts[wanted.name].can_delete) == (5, closed != "/delete")
                done = await store.enforce([order], datetime.now(UTC))
                assert done.refused.reason is Reason.FORBIDDEN
                assert not any(done.deleted.values())
            assert count(url, "*") == 5
            proxy.closed = ()
            assert await enforced(retention(proxy.url), order) == {wanted.name: 5}


async def test_a_store_that_takes_no_deletions_any_more_says_so_to_whoever_gives_one(tmp_path):
    with victoria_logs(tmp_path, "-retentionPeriod=400d") as url:
        store = retention(url)
        for refused in (await store._tasks(), await store._ask("/delete/run_task", {"filter": "*"})):
            assert refused.reason is Reason.REFUSED
        wanted = kept("payments", maximum=30 * DAY)
        assert await store.enforce([Order(wanted, ("payments",), 30 * DAY)], datetime.now(UTC)) == Done({})
        assert (await judged(store, wanted)).state is RetentionState.PARTIAL


async def test_nothing_goes_under_legal_hold_nor_where_it_must_not_be_deleted(tmp_path):
    with victoria_logs(tmp_path, "-retentionPeriod=400d", "-delete.enable") as url:
        insert(url, "payments", [100] * 5)
        await shows(url, 5)
        held = kept("payments", maximum=30 * DAY, legal_hold=True)
        # A deletion that was begun before must not go on.
        store = retention(url)
        assert (await store._ask("/delete/run_task", {"filter": f"namespace:=later {store._mark()}"})).status == 200
        assert await enforced(store, Order(held, ("payments",), None)) == {}
        assert await store._tasks() == ()
        made = await judged(retention(url), held)
        assert made.state is RetentionState.PARTIAL
        assert "a legal hold is demanded, and the store deletes after 400d" in made.reason

        tenants = retention(url, may_delete=False)
        after = kept("payments", maximum=30 * DAY)
        assert await enforced(tenants, Order(after, ("payments",), 30 * DAY)) == {}
        assert "in no store whose address a namespace chose" in (await judged(tenants, after)).reason
        assert count(url, "*") == 5


@pytest.mark.parametrize(
    ("flags", "demand", "state", "part"),
    [
        (("-retentionPeriod=30d",), {"minimum": 90 * DAY}, RetentionState.PARTIAL, "the store deletes after 30d"),
        (("-retentionPeriod=1y",), {"minimum": 365 * DAY}, RetentionState.ENFORCED, ""),
        (("-retentionPeriod=12",), {"minimum": 372 * DAY}, RetentionState.ENFORCED, ""),
        ((), {"minimum": 8 * DAY}, RetentionState.PARTIAL, "the store deletes after 7d"),
        (("-retentionPeriod=30d",), {"maximum": 31 * DAY}, RetentionState.ENFORCED, ""),
        (("-retentionPeriod=30d",), {"maximum": 30 * DAY}, RetentionState.PARTIAL, "-delete.enable"),
        (("-retentionPeriod=30d", "-delete.enable"), {"maximum": 30 * DAY}, RetentionState.ENFORCED, ""),
        (("-retentionPeriod=1y",), {"immutable": True}, RetentionState.UNSUPPORTED, "objectLock"),
        (
            ("-retentionPeriod=1y", "-retention.maxDiskUsagePercent=80"),
            {"minimum": 30 * DAY},
            RetentionState.PARTIAL,
            "maxDiskUsagePercent",
        ),
        (("-storageNode=127.0.0.1:1",), {"legal_hold": True}, RetentionState.PARTIAL, "storage nodes"),
    ],
)
async def test_what_it_was_started_with_decides(tmp_path, flags, demand, state, part):
    with victoria_logs(tmp_path, *flags) as url:
        store = retention(url)
        settings = await store._settings()
        wanted = kept("payments", **demand)
        if settings.is_cluster:
            assert isinstance(await store.observe([wanted], datetime.now(UTC)), Failure)  # its node is not there
            assert part in next(settings.gaps(keeps=True)).message
            return
        made = await judged(store, wanted)
        assert made.state is state, made
        assert part in made.reason


async def test_it_can_be_searched_for_as_long_as_it_keeps_records_or_may(tmp_path):
    with victoria_logs(tmp_path, "-retentionPeriod=100d", "-delete.enable") as url:
        for demand, said in (({}, "100d"), ({"maximum": 95 * DAY}, "95d"), ({"maximum": 200 * DAY}, "100d")):
            wanted = kept("payments", hot=92 * DAY, **demand)
            seen = await retention(url).observe([wanted], datetime.now(UTC))
            assert searchable(wanted.demand, seen.facts[wanted.name]) == said


async def test_a_store_that_is_away_is_a_failure(tmp_path):
    with victoria_logs(tmp_path) as url:
        pass
    store, wanted = retention(url), kept("payments", maximum=30 * DAY)
    for answer in (
        await store.observe([wanted], datetime.now(UTC)),
        await store.enforce([Order(wanted, ("payments",), 30 * DAY)], datetime.now(UTC)),
    ):
        assert isinstance(answer, Failure)
        assert answer.reason is Reason.UNREACHABLE
