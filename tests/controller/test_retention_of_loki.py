"""Rounds over a Loki, which deletes what it was told a day later: what is announced, ordered, cancelled and said.

The Loki is a fake: see tests/sinks/fake_loki.py.
"""

from contextlib import asynccontextmanager
from datetime import timedelta

from audit_operator.api.policy_status import RetentionState
from audit_operator.controller.retention import RoundTimes
from audit_operator.retention.change import GRACE
from audit_operator.retention.demand import Demand
from audit_operator.sinks.access import Connection
from audit_operator.sinks.retention.loki import LokiRetention
from audit_operator.sinks.retention.loki_client import LokiClient
from tests.controller.test_retention import MAX30, NOW, demands, sink, world
from tests.sinks.fake_loki import fake_loki

KEPT = Demand(minimum=720)


@asynccontextmanager
async def loki_and_rounds():
    async with fake_loki(NOW) as loki:
        client = LokiClient(Connection(loki.url, {}), loki.tenant, {"X-Scope-OrgID": loki.tenant})
        async with world(LokiRetention(client, ("main",))) as one:
            one.rounds.times = RoundTimes(every=0.01, patience=60.0)
            yield loki, one


async def go(loki, one, demanded, sink_=sink(), *, days=0):  # noqa: B008  # frozen
    """Some rounds after so many days, in which the store has done what it was told before."""
    loki.now += timedelta(days=days)
    loki.compact()
    [said] = (await one.go(sink_, demanded, days=days)).values()
    return said


async def test_a_deletion_is_announced_for_a_week_then_ordered_and_then_carried_out():
    async with loki_and_rounds() as (loki, one):
        loki.add([60, 20], cluster="main", namespace="ns0")
        said = await go(loki, one, demands(MAX30))
        assert (said.state, loki.deletions) == (RetentionState.PENDING, [])
        assert "are deleted from 2026-12-05" in said.reason
        said = await go(loki, one, demands(MAX30), days=GRACE.days)
        assert len(loki.deletions) == 1
        assert (said.state, "are hidden, and removed after" in said.reason) == (RetentionState.PENDING, True)
        assert len(loki.records) == 2
        said = await go(loki, one, demands(MAX30), days=2)
        assert (said.state, len(loki.records)) == (RetentionState.ENFORCED, 1)


async def test_a_legal_hold_reaches_what_was_ordered():
    async with loki_and_rounds() as (loki, one):
        loki.add([60], cluster="main", namespace="ns0")
        await go(loki, one, demands(MAX30))
        await go(loki, one, demands(MAX30), days=GRACE.days)
        assert len(loki.deletions) == 1
        said = await go(loki, one, demands(Demand(maximum=720, legal_hold=True)))
        assert (said.state, loki.deletions) == (RetentionState.ENFORCED, [])
        await go(loki, one, demands(Demand(maximum=720, legal_hold=True)), days=3)
        assert len(loki.records) == 1


async def test_a_sink_that_only_reports_leaves_no_deletion_behind():
    async with loki_and_rounds() as (loki, one):
        loki.add([60], cluster="main", namespace="ns0")
        await go(loki, one, demands(MAX30))
        await go(loki, one, demands(MAX30), days=GRACE.days)
        assert len(loki.deletions) == 1
        said = await go(loki, one, demands(MAX30), sink(retentionEnforcement="Report"))
        assert (said.state, loki.deletions) == (RetentionState.PARTIAL, [])


async def test_a_period_that_somebody_shortened_by_hand_has_drifted_until_it_is_as_it_was():
    async with loki_and_rounds() as (loki, one):
        loki.overrides["retention_period"] = "60d"
        assert (await go(loki, one, demands(KEPT))).state is RetentionState.ENFORCED
        loki.overrides["retention_period"] = "7d"
        said = await go(loki, one, demands(KEPT))
        assert said.state is RetentionState.DRIFTED
        assert "settings were changed" in said.reason
        assert "the store deletes after 7d" in said.reason
        loki.overrides["retention_period"] = "60d"
        assert (await go(loki, one, demands(KEPT))).state is RetentionState.ENFORCED
