"""What the operator says to nodes, and what it makes of their reports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from audit_operator.api.observations import ApiServerState, DesiredPolicy
from audit_operator.controlplane.configmap import LARGEST
from audit_operator.controlplane.static_pod.driver import StaticPodDriver
from audit_operator.controlplane.static_pod.report import NodeReport, NodeState
from tests.controlplane.static_pod.memory_board import MemoryBoard
from tests.plan.objects import control_plane

if TYPE_CHECKING:
    from audit_operator.controlplane.static_pod.instructions import Instructions

POLICY, OTHER = DesiredPolicy("kind: Policy"), DesiredPolicy("kind: Policy # another")
LABEL = {"node-role.kubernetes.io/control-plane": ""}


class World:
    def __init__(self):
        self.now = 1000.0
        self.board = MemoryBoard()
        self.join("cp-0")
        self.join("cp-1")
        self.board.labelled["worker"] = {}

    def join(self, name, kubelet="v1.37.2"):
        self.board.labelled[name] = LABEL
        self.board.kubelets[name] = kubelet

    def driver(self, *, uid="", **spec):
        spec = control_plane(driver="StaticPod", **spec).spec
        return StaticPodDriver("main", spec, self.board, uid, nodes_age=0.0, clock=lambda: self.now)

    @property
    def told(self) -> Instructions:
        return self.board.told["main"]

    def report(self, node, state=NodeState.RUNNING, age=0.0, **more):
        """What an agent says that has read the instructions, and runs what they say."""
        wanted = self.told.configuration if self.told.enrolled else None
        running = {
            "plane": "main",
            "ready": True,
            "wanted": wanted.id if wanted else "",
            "running_digest": wanted.digest if wanted else "",
        }
        self.board.post(node, NodeReport(state=state, **{**running, **more}), age)

    def writes(self):
        return [call for call in self.board.calls if call in {"instruct", "publish_policy", "forget_policies_except"}]


@pytest.fixture
def world():
    return World()


async def seen(driver):
    return {each.name: each for each in await driver.observe()}


# What is said


async def test_a_policy_is_published_and_wanted_of_the_nodes_that_match(world):
    assert await world.driver().deliver(POLICY) == ()
    assert world.board.policies == {POLICY.digest: POLICY.text}
    assert world.told.nodes == ("cp-0", "cp-1")
    assert world.told.configuration.digest == POLICY.digest
    assert (world.told.enrolled, world.told.adopt, world.told.paused) == (True, False, False)


async def test_the_instructions_of_a_control_plane_that_was_made_anew_go_with_the_new_one(world):
    for uid in ("first", "second"):
        await world.driver(uid=uid).deliver(POLICY)
        assert world.told.uid == uid


async def test_a_policy_is_there_before_it_is_wanted(world):
    await world.driver().deliver(POLICY)
    assert world.writes() == ["publish_policy", "instruct"]


async def test_equal_wishes_cost_nothing(world):
    driver = world.driver()
    await driver.deliver(POLICY)
    before = world.writes()
    for _ in range(3):
        await driver.deliver(POLICY)
        await driver.observe()
    assert world.writes() == before


async def test_what_the_spec_says_reaches_the_nodes(world):
    driver = world.driver(
        adopt=True,
        staticPod={"manifest": "api.yaml", "nodeSelector": LABEL},
        log={"maxAge": 60},
        rollout={"retry": "once more", "readyTimeout": "90s"},
    )
    await driver.deliver(POLICY)
    assert (world.told.adopt, world.told.manifest, world.told.retry) == (True, "api.yaml", "once more")
    assert (world.told.configuration.log.max_age, world.told.ready_timeout) == (60, 90.0)


async def test_a_policy_that_no_config_map_holds_is_refused_and_the_last_one_stays(world):
    driver = world.driver()
    await driver.deliver(POLICY)
    [finding] = await driver.deliver(DesiredPolicy("#" * (LARGEST + 1)))
    assert finding.id == "policy-too-large"
    assert world.told.configuration.digest == POLICY.digest


async def test_a_pause_lets_no_change_begin_and_makes_nobody_forget_what_was_wanted(world):
    await world.driver(log={"maxAge": 60}).deliver(POLICY)
    wanted = world.told.configuration
    await world.driver(rollout={"paused": True}).hold()
    assert (world.told.paused, world.told.configuration) == (True, wanted)


async def test_a_pause_before_anything_was_wanted_wants_nothing(world):
    await world.driver(rollout={"paused": True}).hold()
    assert (world.told.paused, world.told.configuration) == (True, None)


async def test_a_hold_for_want_of_a_policy_is_a_pause_too(world):
    driver = world.driver()
    await driver.deliver(POLICY)
    await driver.hold()
    assert (world.told.paused, world.told.configuration.digest) == (True, POLICY.digest)
    await driver.deliver(POLICY)
    assert not world.told.paused


async def test_what_was_asked_for_is_remembered_in_the_order_in_which_it_was_asked_for_last(world):
    for each in (POLICY, OTHER, POLICY):
        await world.driver().deliver(each)
    assert world.told.history == (OTHER.digest, POLICY.digest)
    driver = world.driver()
    for each in (OTHER, POLICY, OTHER):
        await driver.deliver(each)
    assert world.told.history == (POLICY.digest, OTHER.digest)


async def test_neither_a_pin_nor_a_pause_changes_what_is_remembered(world):
    for each in (POLICY, OTHER):
        await world.driver().deliver(each)
    pinned = world.driver(rollout={"pinnedDigest": POLICY.digest})
    await pinned.deliver(OTHER)
    await pinned.deliver(DesiredPolicy("kind: Policy # not told to anybody"))
    await world.driver(rollout={"paused": True}).hold()
    assert world.told.history == (POLICY.digest, OTHER.digest)


async def test_the_last_few_that_were_asked_for_are_remembered_and_kept_for_a_way_back(world):
    driver = world.driver()
    asked = [DesiredPolicy(f"kind: Policy # {number}") for number in range(7)]
    for each in asked:
        await driver.deliver(each)
        for node in ("cp-0", "cp-1"):
            world.report(node)
        await driver.observe()
    assert list(world.told.history) == [each.digest for each in asked[2:]]
    assert set(world.board.policies) == set(world.told.history)


async def test_a_pinned_policy_is_wanted_although_no_other_is_delivered(world):
    await world.driver(rollout={"pinnedDigest": OTHER.digest}).hold()
    assert (world.told.paused, world.told.configuration.digest) == (False, OTHER.digest)
    assert "publish_policy" not in world.board.calls


async def test_unenrolling_needs_no_policy_and_waits_for_no_pause_but_one_that_was_asked_for(world):
    await world.driver(staticPod={"enrolled": False}).hold()
    assert (world.told.enrolled, world.told.paused) == (False, False)
    await world.driver(staticPod={"enrolled": False}, rollout={"paused": True}).hold()
    assert (world.told.enrolled, world.told.paused) == (False, True)


# What is said again


@pytest.mark.parametrize("away", ["nodes", "publish_policy", "instruct", "instructions"])
async def test_what_could_not_be_said_is_said_once_the_cluster_is_back(world, away):
    driver = world.driver()
    world.board.unavailable = {away}
    await (driver.hold() if away == "instructions" else driver.deliver(POLICY))
    assert world.board.told == {}
    await driver.observe()
    world.board.unavailable = set()
    await driver.observe()
    assert world.told.nodes == ("cp-0", "cp-1")


async def test_what_somebody_has_deleted_is_said_again_without_reading_it_each_time(world):
    driver = world.driver()
    await driver.deliver(POLICY)
    world.report("cp-0")
    await driver.observe()
    world.board.policies.clear()
    world.board.told.clear()
    world.board.calls.clear()
    world.now += 59.0
    await driver.observe()
    assert world.board.calls == ["nodes", "reports"]
    world.now += 1.0
    await driver.observe()
    assert world.board.policies == {POLICY.digest: POLICY.text}
    assert world.told.configuration.digest == POLICY.digest
    assert world.writes() == ["publish_policy", "instruct"]


async def test_a_new_wish_overtakes_no_older_one_that_is_still_being_said(world):
    driver = world.driver()
    await driver.deliver(POLICY)
    world.now += 60.0
    go_on, published = asyncio.Event(), world.board.publish_policy

    async def slow(digest, text):
        if digest == POLICY.digest:
            await go_on.wait()
        await published(digest, text)

    world.board.publish_policy = slow
    reminding = asyncio.create_task(driver.observe())
    await asyncio.sleep(0)
    delivering = asyncio.create_task(driver.deliver(OTHER))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(reminding, delivering)
    assert world.told.configuration.digest == OTHER.digest


async def test_a_node_that_joins_is_told_nothing_before_there_is_a_policy_that_suits_it(world):
    driver = world.driver()
    await driver.deliver(POLICY)
    world.join("cp-2", "v1.35.4")
    world.now += 60.0
    assert set(await seen(driver)) == {"cp-0", "cp-1", "cp-2"}
    assert world.told.nodes == ("cp-0", "cp-1")
    await driver.deliver(OTHER)
    assert world.told.nodes == ("cp-0", "cp-1", "cp-2")


# What is forgotten


async def complete(world, driver):
    for node in ("cp-0", "cp-1"):
        world.report(node)
    await driver.observe()


async def test_after_a_rollout_policies_that_nobody_needs_are_forgotten_once(world):
    driver = world.driver()
    await driver.deliver(POLICY)
    world.board.policies["old"] = "an old one"
    world.report("cp-0")
    await driver.observe()
    assert "old" in world.board.policies, "cp-1 has not said what it runs"
    await complete(world, driver)
    await complete(world, driver)
    assert world.board.policies == {POLICY.digest: POLICY.text}
    assert world.writes().count("forget_policies_except") == 1


async def test_policies_that_run_anywhere_or_are_wanted_of_anybody_stay(world):
    await StaticPodDriver("other", world.driver().spec, world.board).deliver(OTHER)
    driver = world.driver()
    await driver.deliver(POLICY)
    world.board.policies |= {"running": "", "old": ""}
    world.board.post("a node of another control plane", NodeReport(running_digest="running"))
    await complete(world, driver)
    assert set(world.board.policies) == {POLICY.digest, OTHER.digest, "running"}


async def test_what_could_not_be_forgotten_is_forgotten_later(world):
    driver = world.driver()
    await driver.deliver(POLICY)
    world.board.policies["old"] = "an old one"
    world.board.unavailable = {"forget_policies_except"}
    await complete(world, driver)
    world.board.unavailable = set()
    await complete(world, driver)
    assert "old" not in world.board.policies


# What is heard


async def test_what_an_agent_says_is_what_was_seen(world):
    driver = world.driver()
    await driver.deliver(POLICY)
    world.report("cp-0", api_server_version="v1.37.2", attempts=2)
    server = (await seen(driver))["cp-0"]
    assert server.state is ApiServerState.RUNNING
    assert (server.desired_digest, server.running_digest, server.ready) == (POLICY.digest, POLICY.digest, True)
    assert (server.version, server.attempts, server.last_error) == ("v1.37.2", 2, "")


@pytest.mark.parametrize(
    ("said", "state"),
    [
        (NodeState.WAITING, ApiServerState.WAITING),
        (NodeState.CHANGING, ApiServerState.RESTARTING),
        (NodeState.ROLLED_BACK, ApiServerState.ROLLED_BACK),
        (NodeState.BLOCKED, ApiServerState.BLOCKED),
        (NodeState.FAILED, ApiServerState.FAILED),
    ],
)
async def test_a_node_that_does_not_run_it_says_why(world, said, state):
    driver = world.driver()
    await driver.deliver(POLICY)
    world.report("cp-0", said, running_digest="", error="because", blocked="ForeignChange", foreign_policy="theirs")
    server = (await seen(driver))["cp-0"]
    assert (server.state, server.last_error) == (state, "because")
    assert (server.blocked, server.foreign_policy) == ("ForeignChange", "theirs")


async def test_a_node_without_an_agent_is_not_known(world):
    driver = world.driver()
    await driver.deliver(POLICY)
    server = (await seen(driver))["cp-1"]
    assert (server.state, server.ready, server.running_digest) == (ApiServerState.UNKNOWN, False, "")
    assert server.last_error == "no node agent has reported from it"


async def test_an_agent_that_has_fallen_silent_proves_nothing(world):
    driver = world.driver()
    await driver.deliver(POLICY)
    world.report("cp-0")
    await driver.observe()
    world.now += 45.0
    assert (await seen(driver))["cp-0"].ready
    world.now += 0.1
    server = (await seen(driver))["cp-0"]
    assert (server.state, server.ready) == (ApiServerState.UNKNOWN, False)
    assert "silent" in server.last_error
    world.report("cp-0")
    assert (await seen(driver))["cp-0"].ready


async def test_an_operator_that_has_just_started_does_not_believe_an_old_report(world):
    await world.driver().deliver(POLICY)
    world.report("cp-0", age=3600.0)
    driver = world.driver()
    await driver.deliver(POLICY)
    assert (await seen(driver))["cp-0"].state is ApiServerState.UNKNOWN
    world.report("cp-0", age=3600.0)  # it is renewed: just its clock is behind
    assert (await seen(driver))["cp-0"].ready


@pytest.mark.parametrize("state", [NodeState.RUNNING, NodeState.ROLLED_BACK])
async def test_a_report_about_something_else_is_no_answer_yet(world, state):
    driver = world.driver()
    await driver.deliver(POLICY)
    world.report("cp-0", attempts=3, state=state)
    await driver.deliver(OTHER)
    server = (await seen(driver))["cp-0"]
    assert (server.state, server.attempts) == (ApiServerState.WAITING, 0)
    assert server.last_error == "its agent has not read the instructions yet"
    assert (server.desired_digest, server.running_digest) == (OTHER.digest, POLICY.digest)


async def test_why_nodes_could_not_be_told_is_said_at_each_of_them(world):
    driver = world.driver()
    await driver.deliver(POLICY)
    world.report("cp-0")
    world.board.unavailable = {"publish_policy"}
    await driver.deliver(OTHER)
    server = (await seen(driver))["cp-0"]
    assert (server.state, server.last_error) == (ApiServerState.WAITING, "the cluster is away")
    assert server.running_digest == POLICY.digest


async def test_a_reminder_that_fails_makes_nobody_wait(world):
    driver = world.driver()
    await driver.deliver(POLICY)
    world.now += 60.0
    world.report("cp-0")
    world.board.unavailable = {"instruct"}
    assert (await seen(driver))["cp-0"].state is ApiServerState.RUNNING


async def test_a_node_that_follows_another_control_plane_says_nothing_about_this_one(world):
    driver = world.driver()
    await driver.deliver(POLICY)
    world.report("cp-0", plane="other")
    server = (await seen(driver))["cp-0"]
    assert server.state is ApiServerState.UNKNOWN
    assert "AuditControlPlane other" in server.last_error


async def test_unenrolled_nodes_are_to_run_nothing_of_ours(world):
    driver = world.driver(staticPod={"enrolled": False})
    await driver.deliver(POLICY)
    world.report("cp-0", NodeState.IDLE)
    found = await seen(driver)
    assert (found["cp-0"].state, found["cp-0"].desired_digest) == (ApiServerState.RUNNING, "")
    assert found["cp-1"].desired_digest == ""


async def test_where_no_node_matches_nothing_is_seen(world):
    driver = world.driver(staticPod={"nodeSelector": {"role": "none"}})
    await driver.deliver(POLICY)
    assert await driver.observe() == ()


@pytest.mark.parametrize("away", ["nodes", "reports"])
async def test_while_the_cluster_is_away_nothing_is_known_and_it_is_said_why(world, away):
    driver = world.driver()
    await driver.deliver(POLICY)
    world.report("cp-0")
    await driver.observe()
    world.board.unavailable = {away}
    found = await seen(driver)
    assert {each.state for each in found.values()} == {ApiServerState.UNKNOWN}
    assert {each.last_error for each in found.values()} == {"the cluster is away"}
    assert set(found) == {"cp-0", "cp-1"}


async def test_nodes_that_cannot_be_listed_are_not_taken_for_none(world):
    world.board.unavailable = {"nodes"}
    [server] = await world.driver().observe()
    assert (server.name, server.state, server.last_error) == ("*", ApiServerState.UNKNOWN, "the cluster is away")


# Versions


async def versions(driver):
    return {name: (each.version, each.version_at_least) for name, each in (await seen(driver)).items()}


async def test_before_an_agent_has_reported_its_kubelet_says_how_old_an_api_server_may_be(world):
    driver = world.driver()
    world.join("cp-0", "v1.36.1")
    assert (await versions(driver))["cp-0"] == ("", "v1.36.1")
    world.board.post("cp-0", NodeReport(api_server_version="v1.37.2"))
    assert (await versions(driver))["cp-0"] == ("v1.37.2", "v1.36.1")


async def test_a_version_that_was_seen_stays_known_whatever_becomes_of_the_agent(world):
    driver = world.driver()
    world.join("cp-0", "v1.36.1")
    world.board.post("cp-0", NodeReport(api_server_version="v1.37.2"))
    await driver.observe()
    world.board.post("cp-0", NodeReport())
    assert (await versions(driver))["cp-0"] == ("v1.37.2", "v1.36.1")
    world.board.unavailable = {"reports"}
    assert (await versions(driver))["cp-0"] == ("v1.37.2", "v1.36.1")
