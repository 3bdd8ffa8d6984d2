"""What the operator says to nodes, and what it makes of their reports."""

from __future__ import annotations

import pytest

from audit_operator.api.observations import DesiredPolicy
from audit_operator.controlplane.static_pod.board import BoardUnavailable, Posted
from audit_operator.controlplane.static_pod.driver import StaticPodDriver
from audit_operator.controlplane.static_pod.report import NodeReport
from tests.plan.objects import control_plane

POLICY = DesiredPolicy("kind: Policy")


class Board:
    """What the driver needs of one, in memory."""

    def __init__(self, kubelets):
        self.kubelets, self.posted, self.told, self.away = kubelets, {}, [], False

    async def nodes(self, _labels):
        return self.kubelets

    async def reports(self):
        if self.away:
            raise BoardUnavailable("away")
        return self.posted

    async def instruct(self, instructions):
        self.told.append(instructions)

    async def instructions(self):
        return ()

    async def publish_policy(self, _digest, _text):
        pass

    def post(self, node, version):
        self.posted[node] = Posted(NodeReport(api_server_version=version), str(len(self.told)))


@pytest.fixture
def board():
    return Board({"cp-0": "v1.36.1"})


@pytest.fixture
def driver(board):
    return StaticPodDriver("main", control_plane(driver="StaticPod").spec, board, nodes_age=0.0)


async def versions(driver):
    return {each.name: (each.version, each.version_at_least) for each in await driver.observe()}


async def test_before_an_agent_has_reported_its_kubelet_says_how_old_an_api_server_may_be(board, driver):
    assert await versions(driver) == {"cp-0": ("", "v1.36.1")}
    board.post("cp-0", "v1.37.2")
    assert await versions(driver) == {"cp-0": ("v1.37.2", "v1.36.1")}


async def test_a_version_that_was_seen_stays_known_whatever_becomes_of_the_agent(board, driver):
    board.post("cp-0", "v1.37.2")
    await driver.observe()
    board.post("cp-0", "")
    assert await versions(driver) == {"cp-0": ("v1.37.2", "v1.36.1")}
    board.away = True
    assert await versions(driver) == {"cp-0": ("v1.37.2", "v1.36.1")}


async def test_a_node_that_joins_is_told_nothing_before_there_is_a_policy_that_suits_it(board, driver):
    await driver.deliver(POLICY)
    board.kubelets = {"cp-0": "v1.36.1", "cp-1": "v1.35.4"}
    assert set(await versions(driver)) == {"cp-0", "cp-1"}
    assert [each.nodes for each in board.told] == [("cp-0",)]
    suitable = DesiredPolicy("kind: Policy # for both")
    await driver.deliver(suitable)
    assert board.told[-1].nodes == ("cp-0", "cp-1")
    assert board.told[-1].configuration.digest == suitable.digest
