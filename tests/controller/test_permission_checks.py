"""Roles and bindings are listed and judged, in turn; trouble with that is nobody else's trouble."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest

from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.resources import CLUSTER_ROLE, CLUSTER_ROLE_BINDING
from audit_operator.cluster.rest import RestClient
from audit_operator.controller import permission_checks
from audit_operator.controller.permission_checks import PermissionChecks
from audit_operator.controller.permission_metrics import PermissionMetrics
from audit_operator.permissions.expected import Installation
from audit_operator.plan import Snapshot
from tests.cluster.fake_api_server import Fault, fake_api_server
from tests.permissions.objects import binding, role, rule
from tests.plan.objects import control_plane

INSTALLATION = Installation("audit-operator", "audit-operator-agent", "audit-operator")
MAIN = Snapshot(control_planes=(control_plane(),))


def put(api, resource, document):
    metadata = document["metadata"]
    content = {key: document[key] for key in ("rules", "roleRef", "subjects") if key in document}
    api.put(resource, metadata["name"], **content)


def bind(api, *subjects):
    put(api, CLUSTER_ROLE_BINDING, binding("b", "r", *subjects))


class World:
    def __init__(self, api, client, every):
        self.api, self.changes = api, 0
        self.checks = PermissionChecks(client, INSTALLATION, self.changed, every)

    def changed(self):
        self.changes += 1

    def lists(self):
        return sum(each.path.endswith("/clusterroles") for each in self.api.seen)

    async def until(self, condition):
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110  # conditions of tests have no event to wait for
                await asyncio.sleep(0.01)


@asynccontextmanager
async def judging(every, *faults):
    async with fake_api_server() as api:
        put(api, CLUSTER_ROLE, role("r", rule("get", "nodes/log")))
        bind(api, "User alice")
        api.faults.extend(faults)
        async with aiohttp.ClientSession(api.url) as session:
            world = World(api, RestClient(session, backoff=Backoff(base=0.0), attempts=1), every)
            task = asyncio.create_task(world.checks.run())
            yield world
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_what_is_listed_is_judged_and_only_news_is_told():
    async with judging(0.02) as world:
        world.checks.follow(MAIN)
        await world.until(lambda: world.changes == 1)
        assert world.checks.results["main"].readers.unexpected == 1
        lists = world.lists()
        await world.until(lambda: world.lists() > lists + 5)
        assert world.changes == 1
        bind(world.api, "User alice", "User bob")
        await world.until(lambda: world.changes == 2)
        assert [each.subject for each in world.checks.results["main"].findings] == ["User alice", "User bob"]


async def test_nothing_is_listed_before_anybody_knows_what_to_judge_on():
    async with judging(0.01) as world:
        await asyncio.sleep(0.05)
        assert world.lists() == 0
        assert world.checks.results == {}


async def test_somebody_else_who_is_expected_is_judged_without_another_list():
    async with judging(3600.0) as world:
        world.checks.follow(MAIN)
        await world.until(lambda: world.changes == 1)
        expected = {"expected": [{"kind": "User", "name": "alice"}]}
        world.checks.follow(Snapshot(control_planes=(control_plane(permissions=expected),)))
        await world.until(lambda: world.changes == 2)
        assert world.checks.results["main"].findings == ()
        assert world.lists() == 1


async def test_without_the_right_it_is_said_that_nothing_is_known():
    async with judging(0.02) as world:
        world.checks.follow(MAIN)
        await world.until(lambda: world.changes == 1)
        world.api.faults.append(Fault("GET", "/clusterroles", times=10**6, status=403))
        await world.until(lambda: world.changes == 2)
        said = world.checks.results["main"]
        assert "may not be listed" in said.message
        assert said.readers is None
        assert [each.samples for each in PermissionMetrics(lambda: world.checks.results).collect()] == [[]]
        world.api.faults.clear()
        await world.until(lambda: world.changes == 3)
        assert world.checks.results["main"].readers.unexpected == 1


@pytest.mark.parametrize("trouble", [{"status": 500}, {"drop": "before"}])
async def test_a_moments_trouble_leaves_what_was_known(trouble):
    async with judging(0.02) as world:
        world.checks.follow(MAIN)
        await world.until(lambda: world.changes == 1)
        known, fault = world.checks.results, Fault("GET", "/clusterroles", **trouble)
        world.api.faults.append(fault)
        await world.until(lambda: fault.times == 0)
        lists = world.lists()
        await world.until(lambda: world.lists() > lists)
        assert world.checks.results is known
        assert world.changes == 1


async def test_a_binding_that_cannot_be_read_is_no_end_of_judging_and_is_named():
    async with judging(0.02) as world:
        put(world.api, CLUSTER_ROLE_BINDING, {"metadata": {"name": "b"}, "subjects": 7})
        world.checks.follow(MAIN)
        await world.until(lambda: world.changes == 1)
        assert "ClusterRoleBinding 'b'" in world.checks.results["main"].message
        bind(world.api, "User alice")
        await world.until(lambda: world.changes == 2)
        assert world.checks.results["main"].readers.unexpected == 1


async def test_what_cannot_be_read_is_not_listed_again_before_its_time(monkeypatch):
    monkeypatch.setattr(permission_checks, "_AGAIN", 0.01)
    async with judging(3600.0) as world:
        put(world.api, CLUSTER_ROLE_BINDING, {"metadata": {"name": "b"}, "subjects": 7})
        world.checks.follow(MAIN)
        await world.until(lambda: world.changes == 1)
        await asyncio.sleep(0.1)
        assert world.lists() == 1


async def test_an_aggregated_role_may_pick_by_more_labels_than_our_own_selectors_have():
    async with judging(3600.0) as world:
        labels = {f"example.com/{number}": "true" for number in range(200)}
        rules = role("wide", rule("get", "nodes/log"))["rules"]
        world.api.put(
            CLUSTER_ROLE, "wide", rules=rules, aggregationRule={"clusterRoleSelectors": [{"matchLabels": labels}]}
        )
        put(world.api, CLUSTER_ROLE_BINDING, binding("w", "wide", "User bob"))
        world.checks.follow(MAIN)
        await world.until(lambda: world.changes == 1)
        assert [each.subject for each in world.checks.results["main"].findings] == ["User alice", "User bob"]


async def test_metrics_have_counts_and_no_names():
    async with judging(3600.0) as world:
        world.checks.follow(MAIN)
        await world.until(lambda: world.changes == 1)
        [family] = PermissionMetrics(lambda: world.checks.results).collect()
        figures = {(each.labels["effect"], each.labels["expected"]): each.value for each in family.samples}
        assert figures["read", "false"] == 1
        assert figures["disable", "true"] == 0
        assert "alice" not in str(family.samples)
