"""What status says of control planes whose nodes have agents: each reason why a policy is not programmed there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.observations import ApiServerObservation, ApiServerState
from audit_operator.plan import Snapshot, plan
from audit_operator.plan.status import statuses
from tests.plan.objects import cluster_policy, control_plane

MAIN = ObjectRef("AuditControlPlane", "main")
POLICY = cluster_policy()
WANTED = (
    plan(Snapshot(cluster_audit_policies=(POLICY,), control_planes=(control_plane(driver="StaticPod"),)))
    .compiled["main"]
    .desired.digest
)
RUNNING = ApiServerObservation("cp-1", WANTED, WANTED, ready=True, state=ApiServerState.RUNNING, version="v1.37.2")


def status(*servers, policies=(POLICY,), **spec):
    facts = Snapshot(
        cluster_audit_policies=policies,
        control_planes=(control_plane(driver="StaticPod", kubernetesVersion="1.29", **spec),),
        observations={"main": servers},
        server_version="v1.37.2",
    )
    return statuses(facts, plan(facts), {})[MAIN]


def condition(said, type_="Programmed"):
    found = [each for each in said["conditions"] if each["type"] == type_]
    return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else None


def not_running(state, why="because", **more):
    return replace(RUNNING, running_digest="f" * 64, state=state, last_error=why, **more)


def test_it_is_programmed_when_every_node_runs_it_ready():
    said = status(RUNNING, replace(RUNNING, name="cp-2"))
    assert condition(said)[:2] == ("True", "Programmed")
    assert condition(said, "Ready")[:2] == ("True", "Ready")
    assert said["progress"] == "2/2"


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (not_running(ApiServerState.ROLLED_BACK), ("False", "RolledBack", "node cp-1: because")),
        (not_running(ApiServerState.BLOCKED, blocked="AdoptionRequired"), ("False", "AdoptionRequired")),
        (not_running(ApiServerState.BLOCKED, blocked="ForeignChange"), ("False", "ForeignChange")),
        (not_running(ApiServerState.BLOCKED, blocked="PolicyRefused"), ("False", "PolicyRefused")),
        (not_running(ApiServerState.BLOCKED, blocked="LogSpace"), ("False", "NodeBlocked")),
        (not_running(ApiServerState.BLOCKED, blocked="SomethingNewer"), ("False", "NodeBlocked")),
        (not_running(ApiServerState.FAILED), ("False", "DeliveryFailed")),
        (not_running(ApiServerState.UNKNOWN), ("Unknown", "NotObserved")),
        (
            not_running(ApiServerState.WAITING),
            ("False", "Pending", "1 of 2 API servers run with it; node cp-1: because"),
        ),
        (not_running(ApiServerState.RESTARTING, why=""), ("False", "Pending", "1 of 2 API servers run with it")),
        (replace(RUNNING, ready=False), ("False", "Pending")),
        (replace(RUNNING, running_digest=""), ("False", "Pending")),
    ],
    ids=lambda each: f"{each.state}-{each.blocked}" if isinstance(each, ApiServerObservation) else "",
)
def test_one_node_that_does_not_is_enough_and_its_reason_is_said(server, expected):
    said = status(replace(RUNNING, name="cp-0"), server)
    assert condition(said)[: len(expected)] == expected
    assert condition(said, "Ready")[:2] == expected[:2]
    assert said["progress"] == "1/2"


@pytest.mark.parametrize(
    ("server", "summary"),
    [
        (not_running(ApiServerState.WAITING), "Reconciling"),
        (not_running(ApiServerState.ROLLED_BACK), "Stalled"),
        (not_running(ApiServerState.BLOCKED, blocked="ForeignChange"), "Stalled"),
        (not_running(ApiServerState.BLOCKED, blocked="LogSpace"), "Stalled"),
        (not_running(ApiServerState.UNKNOWN), None),
    ],
)
def test_whether_time_or_a_person_is_needed_is_said(server, summary):
    said = status(server)
    assert {each for each in ("Reconciling", "Stalled") if condition(said, each)} == ({summary} if summary else set())


def test_of_several_troubles_the_one_that_a_person_must_act_on_is_said():
    blocked = not_running(ApiServerState.BLOCKED, blocked="ForeignChange")
    rolled_back = replace(not_running(ApiServerState.ROLLED_BACK), name="cp-2")
    unknown = replace(not_running(ApiServerState.UNKNOWN), name="cp-3")
    assert condition(status(unknown, blocked, rolled_back))[1:] == ("RolledBack", "node cp-2: because")
    assert condition(status(unknown, blocked))[1:] == ("ForeignChange", "node cp-1: because")


@pytest.mark.parametrize("state", [ApiServerState.ROLLED_BACK, ApiServerState.BLOCKED, ApiServerState.WAITING])
def test_log_flags_that_do_not_take_effect_count_although_the_policy_runs(state):
    said = status(replace(RUNNING, state=state, last_error="because"))
    assert condition(said)[0] == "False"


def test_where_no_node_matches_nothing_is_programmed():
    assert condition(status()) == ("False", "NodeBlocked", "no node matches spec.staticPod.nodeSelector")


@pytest.mark.parametrize("server", [RUNNING, not_running(ApiServerState.BLOCKED, blocked="ForeignChange")])
def test_unenrolled_nodes_run_nothing_of_ours_whatever_they_run_now(server):
    said = status(server, staticPod={"enrolled": False})
    assert condition(said) == ("False", "Unenrolled", "spec.staticPod.enrolled is false")


def test_unenrolled_nodes_run_no_pinned_policy_either_and_need_none():
    unenrolled = {"staticPod": {"enrolled": False}}
    assert condition(status(RUNNING, rollout={"pinnedDigest": "a" * 64}, **unenrolled))[1] == "Unenrolled"
    assert condition(status(RUNNING, policies=(), **unenrolled))[1] == "Unenrolled"


def test_while_a_pause_keeps_nodes_from_being_unenrolled_that_is_said():
    assert condition(status(RUNNING, rollout={"paused": True}, staticPod={"enrolled": False}))[1] == "Paused"


def test_a_pause_is_said():
    said = status(not_running(ApiServerState.WAITING), rollout={"paused": True})
    assert condition(said) == ("False", "Paused", "spec.rollout.paused is true; the last policy stays in force")


def test_a_pinned_policy_is_said():
    said = status(not_running(ApiServerState.RUNNING, why=""), rollout={"pinnedDigest": "f" * 64})
    assert condition(said)[:2] == ("False", "Pinned")


def test_without_a_policy_nothing_is_delivered():
    assert condition(status(RUNNING, policies=()))[:2] == ("False", "NoPolicy")


def test_each_node_is_listed_with_what_is_known_of_it():
    server = not_running(ApiServerState.WAITING, attempts=2)
    [shown] = status(server)["apiServers"]
    assert shown == {
        "name": "cp-1",
        "desiredDigest": WANTED,
        "runningDigest": "f" * 64,
        "ready": True,
        "state": "Waiting",
        "version": "v1.37.2",
        "attempts": 2,
        "lastError": "because",
    }
