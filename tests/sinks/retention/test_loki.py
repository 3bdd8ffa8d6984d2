"""What is asked of a Loki, deleted there, and claimed of it. The store is a fake: see tests/sinks/fake_loki.py."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.api.policy_status import RetentionState
from audit_operator.api.sink_retention import ClassRetention, RetentionOfSink
from audit_operator.controller.retention_memory import Memory, drifted
from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.retention.judgement import judge
from audit_operator.sinks import Access, Failure, Reason
from audit_operator.sinks.retention.opening import open_retention
from audit_operator.sinks.retention.protocol import Done, Order
from tests.plan.objects import parsed
from tests.sinks.fake_loki import Deletion, fake_loki

DAY = 24
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DELETE = "/loki/api/v1/delete"
QUERY, RANGE = "/loki/api/v1/query", "/loki/api/v1/query_range"


@pytest.fixture
async def loki():
    async with fake_loki(NOW) as store:
        yield store


def opened(loki, *clusters, may_delete=True):
    section = {"url": loki.url, "tenant": loki.tenant}
    sink = parsed("ClusterAuditSink", "central", {"type": "Loki", "loki": section})
    return open_retention(sink, Access(), None, clusters or ("main",), may_delete=may_delete)


def kept(*namespaces, **demand):
    return RetentionClass(Demand(**demand), namespaces)


async def judged(loki, wanted, **how):
    store = opened(loki, **how)
    seen = await store.observe([wanted], loki.now)
    assert not isinstance(seen, Failure), seen
    return judge(wanted, seen.facts[wanted.name], store.mends)


async def enforced(loki, *orders):
    done = await opened(loki).enforce(orders, loki.now)
    assert isinstance(done, Done), done
    return done


def left(loki, **attributes):
    return sum(attributes.items() <= each.labels.items() for each in loki.records)


PAYMENTS = kept("payments", maximum=30 * DAY)
ORDER = Order(PAYMENTS, ("payments",), 30 * DAY)


async def test_records_beyond_their_time_go_and_younger_and_foreign_ones_stay(loki):
    web = kept("web", minimum=95 * DAY, maximum=95 * DAY)
    loki.add([100] * 40 + [20] * 30, cluster="main", namespace="payments")
    loki.add([100] * 20 + [91] * 10 + [1] * 5, cluster="main", namespace="web")
    loki.add([100] * 2, cluster="main", unseen="payments")
    loki.add([100] * 4, cluster="another", namespace="payments")
    loki.add([100] * 3, cluster="main", namespace="payments-old")
    loki.add([100] * 6, cluster="main")
    loki.add([100] * 7, cluster="main", namespace="nobody.asked")
    assert (await judged(loki, PAYMENTS)).reason == "42 records are older than 30d"

    assert (await enforced(loki, ORDER, Order(web, ("web",), 95 * DAY))).under_way
    judgement = await judged(loki, PAYMENTS)
    assert (judgement.state, "are hidden" in judgement.reason) == (RetentionState.PENDING, True)
    assert left(loki, namespace="payments", cluster="main") == 70  # nothing is gone yet, and nothing claims it

    loki.now += timedelta(days=1, hours=1)
    loki.compact()
    assert left(loki, namespace="payments", cluster="main") == 30
    assert left(loki, namespace="web") == 15
    assert left(loki, unseen="payments") == 0
    assert left(loki, cluster="another") == 4
    assert left(loki, namespace="payments-old") == 3
    assert left(loki, namespace="nobody.asked") == 7
    assert len(loki.records) == 30 + 15 + 4 + 3 + 7 + 6
    assert (await judged(loki, PAYMENTS)).state is RetentionState.ENFORCED
    assert not (await enforced(loki, ORDER, Order(web, ("web",), 95 * DAY))).under_way
    assert [each.status for each in loki.deletions] == ["processed"] * 3


async def test_a_deletion_that_is_still_right_is_left_to_wait(loki):
    loki.add([100] * 4, cluster="main", namespace="payments")
    await enforced(loki, ORDER)
    [first] = loki.deletions
    both = kept("new", "payments", maximum=30 * DAY)
    for hours in range(1, 6):  # namespaces come and go, and time goes on
        loki.now = NOW + timedelta(hours=hours)
        assert (await enforced(loki, ORDER if hours % 2 else Order(both, both.namespaces, 30 * DAY))).under_way
    assert loki.deletions == [first]


@pytest.mark.parametrize(
    "orders", [[], [Order(kept("web", maximum=720), ("web",), 720)], [Order(PAYMENTS, ("payments",), 31 * DAY)]]
)
async def test_a_deletion_that_is_no_longer_allowed_is_cancelled(loki, orders):
    loki.add([30.5] * 4, cluster="main", namespace="payments")
    await enforced(loki, ORDER)
    assert len(loki.deletions) == 1
    await enforced(loki, *orders)
    assert loki.deletions == []
    loki.now += timedelta(hours=25)
    loki.compact()
    assert left(loki, namespace="payments") == 4


async def test_a_deletion_that_names_a_cluster_which_is_no_longer_ours_is_cancelled(loki):
    loki.add([100] * 2, cluster="main", namespace="payments")
    loki.add([100] * 3, cluster="old", namespace="payments")
    await opened(loki, "main", "old").enforce([ORDER], NOW)
    await enforced(loki, ORDER)
    await enforced(loki, ORDER)
    [ordered] = loki.deletions
    assert "old" not in ordered.query
    loki.now += timedelta(hours=25)
    loki.compact()
    assert left(loki, cluster="old") == 3


async def test_what_must_not_be_deleted_yet_is_ordered_anew_up_to_where_it_may(loki):
    loki.add([30.5] * 4 + [100] * 2, cluster="main", namespace="payments")
    await enforced(loki, ORDER)
    longer = Order(PAYMENTS, ("payments",), 31 * DAY)
    assert (await enforced(loki, longer)).under_way  # what was hidden shows only now
    await enforced(loki, longer)
    [ordered] = loki.deletions
    assert ordered.end == NOW - timedelta(days=31)


async def test_a_deletion_that_has_begun_is_ended_and_one_that_is_done_is_not_asked_about(loki):
    loki.add([100], cluster="main", namespace="payments")
    await enforced(loki, ORDER)
    loki.deletions[0].status = "66% Complete"
    loki.deletions.append(Deletion("done", loki.deletions[0].query, NOW, NOW, NOW, "processed"))
    await enforced(loki)
    assert [each.number for each in loki.deletions] == ["done"]


async def test_deletions_of_people_and_of_other_clusters_are_left_alone(loki):
    mark = "audit_operator_retention"
    foreign = [
        '{cluster="main"}',
        '{cluster="main"} |= "secret"',
        f'{{cluster=~"other",namespace="web",{mark}!="other"}}',
        f'{{cluster=~"main",namespace="web",{mark}="main"}}',
        "nonsense",
    ]
    ours = [
        f'{{cluster=~"main",namespace="web",{mark}!="main"}}',
        f'{{ cluster =~ "old|main", unseen="web", {mark} != "main,old" }}',
        f'{{{mark}!="main"}}',
    ]
    listed = [Deletion(f"{number}", query, NOW, NOW, NOW) for number, query in enumerate([*foreign, *ours])]
    loki.deletions = list(listed)
    await enforced(loki)
    assert [each.query for each in loki.deletions] == foreign


async def test_where_settings_forbid_deletions_those_of_before_are_ended(loki):
    loki.add([100], cluster="main", namespace="payments")
    await enforced(loki, ORDER)
    loki.overrides["deletion_mode"] = "filter-only"
    await enforced(loki, ORDER)
    assert loki.deletions == []
    assert await enforced(loki, ORDER) == Done({})
    assert loki.deletions == []


async def test_a_namespace_that_is_no_label_is_never_deleted_and_says_what_mends_it(loki):
    loki.label()
    loki.add([100] * 3, cluster="main", namespace="payments")
    judgement = await judged(loki, PAYMENTS)
    assert judgement.state is RetentionState.PARTIAL
    assert "`audit-operator sinks overrides` prints: stream labels" in judgement.reason
    assert "3 records are older" in judgement.reason
    assert await enforced(loki, ORDER) == Done({})
    assert loki.deletions == []


async def test_records_from_before_they_had_labels_are_found_and_said_to_stay(loki):
    loki.label()
    loki.add([100] * 3, cluster="main", namespace="payments")
    loki.label("cluster")
    loki.add([99] * 2, cluster="main", unseen="payments")
    loki.label("cluster", "namespace", "unseen")
    loki.add([1], cluster="main", namespace="payments")
    judgement = await judged(loki, PAYMENTS)
    assert judgement.state is RetentionState.PARTIAL
    assert "before cluster, namespace and unseen were labels" in judgement.reason
    assert "5 records are older" in judgement.reason
    loki.overrides["retention_period"] = "29d"
    loki.compact()
    assert (await judged(loki, PAYMENTS)).state is RetentionState.ENFORCED


async def test_a_rule_of_the_store_that_is_a_day_shorter_than_the_maximum_is_enough(loki):
    loki.config["compactor"]["delete_request_store"] = ""
    rule = {"selector": '{cluster="main",namespace=~"payments|web"}', "priority": 1, "period": "30d"}
    loki.overrides["retention_stream"] = [rule]
    judgement = await judged(loki, PAYMENTS)
    assert (judgement.state, "does not do it" in judgement.reason) == (RetentionState.PARTIAL, True)
    rule["period"] = "29d"
    assert "does not do it" in (await judged(loki, PAYMENTS)).reason  # a namespace that nobody had seen has no rule
    loki.overrides["retention_stream"].append({**rule, "selector": '{cluster="main",unseen=~"payments|web"}'})
    loki.overrides["retention_stream"].append({**rule, "selector": '{cluster="main",namespace="",unseen=""}'})
    loki.add([29.5] * 3 + [28] * 2, cluster="main", namespace="payments")
    loki.compact()
    assert await judged(loki, PAYMENTS) == await judged(loki, kept("payments", minimum=29 * DAY, maximum=720))
    assert (await judged(loki, PAYMENTS)).state is RetentionState.ENFORCED
    assert (await judged(loki, kept("", "web", maximum=720))).state is RetentionState.ENFORCED
    assert left(loki, namespace="payments") == 2


async def test_a_store_that_deletes_by_age_keeps_no_minimum_beyond_it_and_no_legal_hold(loki):
    loki.overrides["retention_period"] = "30d"
    assert (await judged(loki, kept("web", minimum=30 * DAY))).state is RetentionState.ENFORCED
    assert "deletes after 30d" in (await judged(loki, kept("web", minimum=31 * DAY))).reason
    assert (await judged(loki, kept("web", legal_hold=True))).state is RetentionState.PARTIAL
    loki.config["compactor"]["retention_enabled"] = False
    assert (await judged(loki, kept("web", legal_hold=True))).state is RetentionState.ENFORCED
    assert (await judged(loki, PAYMENTS)).state is RetentionState.PARTIAL


async def test_settings_that_were_changed_by_hand_have_drifted(loki):
    rule = {"selector": '{cluster="main"}', "priority": 1, "period": "400d"}
    loki.overrides["retention_stream"] = [rule]
    wanted = kept("web", minimum=366 * DAY)
    before = await opened(loki).observe([wanted], NOW)
    said = ClassRetention(name=wanted.name, desired="", effective="", state=RetentionState.ENFORCED)
    memory = Memory(RetentionOfSink(store="", settings=before.settings, classes=(said,)))
    assert not drifted(memory, wanted.name, await judged(loki, wanted), before.settings)
    rule["period"] = "30d"
    after = await opened(loki).observe([wanted], NOW)
    assert drifted(memory, wanted.name, await judged(loki, wanted), after.settings)


async def test_records_of_no_namespace_are_not_deleted_by_order(loki):
    loki.add([100] * 3, cluster="main")
    loki.add([100] * 2, cluster="main", namespace="web")
    wanted = kept("", "web", maximum=720)
    await enforced(loki, Order(wanted, wanted.namespaces, 720))
    loki.now += timedelta(hours=25)
    loki.compact()
    assert (left(loki, namespace="web"), len(loki.records)) == (0, 3)
    judgement = await judged(loki, wanted)
    assert judgement.state is RetentionState.PARTIAL
    assert "no namespace are not deleted by order" in judgement.reason
    assert "3 records are older" in judgement.reason


@pytest.mark.parametrize("wrong", [timedelta(days=-1000), timedelta(days=1000)])
async def test_whichever_clock_is_wrong_nothing_goes_before_both_say_so(loki, wrong):
    loki.add([100] * 40 + [29] * 30, cluster="main", namespace="payments")
    seen = await opened(loki).observe([PAYMENTS], NOW + wrong)
    assert seen.facts[PAYMENTS.name].overdue == (40 if wrong < timedelta() else 70)
    await opened(loki).enforce([ORDER], NOW + wrong)
    loki.now += timedelta(hours=25)
    loki.compact()
    assert left(loki, namespace="payments") == (70 if wrong < timedelta() else 30)


async def test_under_a_legal_hold_nothing_is_overdue(loki):
    loki.add([100], cluster="main", namespace="web")
    seen = await opened(loki).observe([wanted := kept("web", maximum=720, legal_hold=True)], NOW)
    assert seen.facts[wanted.name].overdue == 0
    assert seen.facts[wanted.name].oldest == NOW - timedelta(days=100)


async def test_through_the_sink_of_a_namespace_nothing_is_deleted_nor_cancelled(loki):
    loki.add([100], cluster="main", namespace="payments")
    store = opened(loki, may_delete=False)
    assert await store.enforce([ORDER], NOW) == Done({})
    assert "whose address a namespace chose" in (await judged(loki, PAYMENTS, may_delete=False)).reason
    assert DELETE not in [path for _, path in loki.asked]


async def test_what_a_store_does_not_show_is_not_claimed_to_be_gone(loki):
    loki.overrides["max_query_lookback"] = "60d"
    loki.add([100], cluster="main", namespace="payments")
    judgement = await judged(loki, PAYMENTS)
    assert (judgement.state, "max_query_lookback" in judgement.reason) == (RetentionState.PARTIAL, True)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_gateway_that_hides_settings_leaves_them_unknown(loki, status):
    loki.overrides["retention_stream"] = [{"selector": '{cluster="main"}', "priority": 1, "period": "90d"}]
    for path in ("/config", "/runtime_config", "/config/tenant/v1/limits"):
        loki.answers["GET", path] = status, b""
        seen = await opened(loki).observe([PAYMENTS], NOW)
        facts = seen.facts[PAYMENTS.name]
        hidden = path != "/runtime_config"
        assert (facts.effective == "not known") is hidden
        if hidden:
            assert facts.can_delete is False
            assert "does not say" in facts.gaps[0].message
        if path == "/config":
            del loki.answers["GET", path]


@pytest.mark.parametrize("status", [308, 400, 401, 403, 404])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_who_refuses_deletions_is_told_none_and_judged_all_the_same(loki, method, status):
    loki.add([100], cluster="main", namespace="payments")
    if method == "DELETE":
        await enforced(loki, ORDER)
    loki.answers[method, DELETE] = status, b""
    done = await enforced(loki, *([] if method == "DELETE" else [ORDER]))
    assert done.refused is not None
    assert len(loki.deletions) == (method == "DELETE")
    if method == "GET":
        for wanted in (PAYMENTS, kept("web", minimum=720)):  # an earlier deletion may go on
            judgement = await judged(loki, wanted)
            assert (judgement.state, "refuses the operator" in judgement.reason) == (RetentionState.PARTIAL, True)


async def test_a_class_that_cannot_be_counted_leaves_the_others_alone(loki):
    loki.add([100], cluster="main", namespace="payments")
    loki.add([100], cluster="main", namespace="web")
    loki.fails = '"web"'
    web = kept("web", maximum=721)
    seen = await opened(loki).observe([web, PAYMENTS], NOW)
    assert (set(seen.facts), seen.uncounted[web.name].reason) == ({PAYMENTS.name}, Reason.STORE_FAILED)
    done = await enforced(loki, Order(web, ("web",), 721), ORDER)
    assert (set(done.uncounted), len(loki.deletions)) == ({web.name}, 1)
    assert (await opened(loki).observe([web], NOW)).reason is Reason.STORE_FAILED


async def test_rules_that_are_not_among_published_limits_are_not_taken_for_none(loki):
    loki.answers["GET", "/runtime_config"] = 404, b""
    facts = (await opened(loki).observe([PAYMENTS], NOW)).facts[PAYMENTS.name]
    assert facts.unknown
    del loki.config["runtime_config"]  # there is no file with limits of tenants
    facts = (await opened(loki).observe([PAYMENTS], NOW)).facts[PAYMENTS.name]
    assert (facts.unknown, facts.effective) == (False, "keeps for ever")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/config"), ("GET", "/runtime_config"), ("GET", DELETE), ("POST", QUERY), ("POST", RANGE)],
)
async def test_a_store_that_fails_is_a_failure_and_deletes_nothing(loki, method, path):
    loki.add([100], cluster="main", namespace="payments")
    loki.answers[method, path] = 503, b""
    assert (await opened(loki).observe([PAYMENTS], NOW)).reason is Reason.STORE_FAILED
    assert (await opened(loki).enforce([ORDER], NOW)).reason is Reason.STORE_FAILED
    assert loki.deletions == []


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_a_deletion_that_cannot_be_ordered_or_cancelled_is_a_failure(loki, method):
    loki.add([100], cluster="main", namespace="payments")
    if method == "DELETE":
        await enforced(loki, ORDER)
    loki.answers[method, DELETE] = 500, b""
    assert (await opened(loki).enforce([ORDER] if method == "POST" else [], NOW)).reason is Reason.STORE_FAILED


BROKEN = [
    *(b"", b"[]", b"nonsense", b"{}", b"[" * 5000),
    *(
        json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()
        for kind in ("vector", "streams")
        for result in (
            {},
            [1],
            [{"metric": {}, "value": [1]}],
            [{"metric": {}, "value": [1, "NaN"]}],
            [{"metric": {}, "value": ["1e400", "1"]}],
            [{"metric": 1, "value": [1, "1"]}],
            [{"stream": {}, "values": [["x", ""]]}],
            [{"stream": {}, "values": [["9" * 40, ""]]}],
            [{"stream": {}, "values": [[]]}],
        )
    ),
]


@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("path", [QUERY, RANGE])
async def test_an_answer_that_is_none_is_a_failure_and_no_zero(loki, path, body):
    loki.add([100], cluster="main", namespace="payments")
    loki.answers["POST", path] = 200, body
    for found in (await opened(loki).observe([PAYMENTS], NOW), await opened(loki).enforce([ORDER], NOW)):
        assert found.reason is Reason.ANSWER_MALFORMED
    assert loki.deletions == []


@pytest.mark.parametrize("body", [b"{}", b"[1]", b'[{"status": "received", "query": 1}]', b"nonsense", b"7"])
async def test_a_list_of_deletions_that_is_none_stops_everything(loki, body):
    loki.add([100], cluster="main", namespace="payments")
    loki.answers["GET", DELETE] = 200, body
    found = await opened(loki).enforce([ORDER], NOW)
    if body == b"{}":  # as good as an empty list
        assert isinstance(found, Done)
    else:
        assert found.reason is Reason.ANSWER_MALFORMED
        assert loki.deletions == []


async def test_a_store_without_any_deletion_may_say_null(loki):
    loki.answers["GET", DELETE] = 200, b"null"
    assert await enforced(loki, ORDER) == Done({})


async def test_many_namespaces_are_ordered_some_at_a_time(loki, monkeypatch):
    monkeypatch.setattr("audit_operator.sinks.retention.loki._MOST_ORDERS", 3)
    names = tuple(f"team-{number}" for number in range(5))
    for each in names:
        loki.add([100], cluster="main", namespace=each)
    wanted = kept(*names, maximum=720)
    for ordered in (3, 5, 5):
        assert (await enforced(loki, Order(wanted, names, 720))).under_way
        assert len(loki.deletions) == ordered


async def test_names_that_are_no_names_stay_values(loki):
    odd = 'in|payments"} or .*'
    loki.add([100] * 2, cluster="main", namespace=odd)
    loki.add([100] * 3, cluster="main", namespace="payments")
    wanted = kept(odd, maximum=720)
    assert "2 records are older" in (await judged(loki, wanted)).reason
    await enforced(loki, Order(wanted, (odd,), 720))
    loki.now += timedelta(hours=25)
    loki.compact()
    assert left(loki, namespace=odd) == 0
    assert left(loki, namespace="payments") == 3


async def test_a_lifetime_of_records_is_asked_for_in_parts_and_counted_once(loki):
    ages = [1000, 999.5, 970, 720, 30.0001, 30, 29.9999]
    loki.config["schema_config"]["configs"][0]["from"] = "2024-01-01"
    loki.add(ages, cluster="main", namespace="payments")
    seen = await opened(loki).observe([PAYMENTS], NOW)
    assert seen.facts[PAYMENTS.name].overdue == 5
    assert seen.facts[PAYMENTS.name].oldest == NOW - timedelta(days=1000)


async def test_a_period_beyond_which_nothing_can_be_counted_deletes_nothing(loki):
    loki.add([100], cluster="main", namespace="web")
    wanted = kept("web", maximum=876_000)
    assert await enforced(loki, Order(wanted, ("web",), 876_000)) == Done({})
    assert (await judged(loki, wanted)).state is RetentionState.ENFORCED
