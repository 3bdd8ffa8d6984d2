"""A node's roll-out on a simulated node: what ends well, what is taken back, and that no moment to die is a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_operator.api.observations import policy_digest
from audit_operator.controlplane.preflight import Preflight, Verdict
from audit_operator.controlplane.static_pod.audit_flags import AuditConfiguration, LogSettings
from audit_operator.controlplane.static_pod.change import ChangeTiming
from audit_operator.controlplane.static_pod.instructions import Instructions
from audit_operator.controlplane.static_pod.manifest import enrolled, read_back
from audit_operator.controlplane.static_pod.report import LARGEST_POLICY, NodeState
from audit_operator.controlplane.static_pod.rollout import NodeRollout, Obstacle, Todo
from tests.controlplane.static_pod.simulated_node import PLACES, Behaviour, Death, SimulatedNode
from tests.examples import some

MANIFEST = (Path(__file__).parent / "manifests" / "kubeadm-1.37.yaml").read_text()
POLICIES = str(PLACES.policies)
OLD, NEW = "old policy", "new policy"
BAD = [Behaviour.REFUSED, Behaviour.NEVER_READY, Behaviour.CRASHING, Behaviour.DIES_LATE]
TIMING = ChangeTiming()


def configuration(policy, **log):
    return AuditConfiguration(policy_digest(policy), LogSettings(**log))


def asking_for(policy, **more):
    return Instructions(plane="main", nodes=("cp-1",), configuration=configuration(policy), **more)


def rollout_on(node):
    return NodeRollout(node, TIMING, clock=node.clock, sleep=node.sleep)


def drive(node, rollout, instructions, policy, seconds=900.0):
    """Do what the agent does, for some time; and say what came of it."""
    end = node.now + seconds
    while node.now < end:
        match rollout.look(instructions, policy):
            case Todo.CHANGE:
                rollout.change(instructions, policy, lambda: True)
            case Todo.FINISH:
                rollout.finish()
            case Todo.NOTHING:
                pass
        node.sleep(3.0)
    return rollout.report


def node_running(policy, **behaviours):
    """A node that was enrolled long ago."""
    node = SimulatedNode(MANIFEST)
    drive(node, rollout_on(node), asking_for(policy), policy)
    node.behaviours = {policy_digest(each): behaviour for each, behaviour in behaviours.items()}
    node.effects.clear()
    node.unready = 0.0
    return node


def assert_nothing_lies_about(node):
    assert "journal.json" not in node.files
    assert node.staged == {}


# What ends well


def test_an_api_server_without_audit_flags_is_enrolled():
    node = SimulatedNode(MANIFEST)
    report = drive(node, rollout_on(node), asking_for(NEW), NEW)
    assert report.state is NodeState.RUNNING
    assert report.running_digest == policy_digest(NEW)
    assert report.ready
    assert report.since is not None
    assert node.manifest == enrolled(MANIFEST, configuration(NEW), POLICIES)
    assert node.files["original.yaml"].decode() == MANIFEST
    assert_nothing_lies_about(node)


def test_a_policy_is_changed_with_one_restart():
    node = node_running(OLD)
    pid = node.server(6443).process.pid
    report = drive(node, rollout_on(node), asking_for(NEW), NEW)
    assert report.state is NodeState.RUNNING
    assert node.server(6443).process.pid == pid + 1
    assert_nothing_lies_about(node)


def test_equal_wishes_cause_no_write():
    node = node_running(OLD)
    drive(node, rollout_on(node), asking_for(OLD), OLD)
    assert node.effects == []


def test_log_flags_alone_are_a_change_that_waits_for_the_new_process():
    node = node_running(OLD)
    wanted = asking_for(OLD).model_copy(update={"configuration": configuration(OLD, max_age=60)})
    report = drive(node, rollout_on(node), wanted, OLD)
    assert report.state is NodeState.RUNNING
    assert node.server(6443).audit_flags["--audit-log-maxage"] == "60"


def test_unenrolling_gives_back_what_was_there_byte_for_byte():
    node = node_running(OLD)
    report = drive(node, rollout_on(node), asking_for(OLD, enrolled=False), OLD)
    assert report.state is NodeState.IDLE
    assert node.manifest == MANIFEST
    assert node.is_ready()
    assert_nothing_lies_about(node)


def test_unenrolling_keeps_what_others_have_changed_since():
    node = node_running(OLD)
    node.manifest = node.manifest.replace("- --allow-privileged=true", "- --allow-privileged=false")
    drive(node, rollout_on(node), asking_for(OLD, enrolled=False), OLD)
    assert node.manifest == MANIFEST.replace("- --allow-privileged=true", "- --allow-privileged=false")


@pytest.mark.parametrize(
    ("wish", "wanted"),
    [(asking_for(OLD, enrolled=False), ""), (asking_for(NEW), configuration(NEW).id)],
    ids=["nothing", "another policy"],
)
def test_what_is_newly_wanted_is_never_said_beside_the_state_of_before(wish, wanted):
    """Nothing wanted, and running, is how it reads when what was there before is given back."""
    node = node_running(OLD)
    rollout, said = rollout_on(node), []
    rollout.look(asking_for(OLD), OLD)
    assert rollout.report.state is NodeState.RUNNING
    rollout.on_report = lambda: said.append((rollout.report.wanted, rollout.report.state))
    assert rollout.look(wish, NEW) is Todo.CHANGE
    assert said == [(wanted, NodeState.WAITING)]


# What is taken back


@pytest.mark.parametrize("behaviour", BAD)
def test_a_bad_policy_is_taken_back_and_not_tried_again(behaviour):
    node = node_running(OLD, **{NEW: behaviour})
    before = node.manifest
    report = drive(node, rollout_on(node), asking_for(NEW), NEW, seconds=1800.0)
    assert report.state is NodeState.ROLLED_BACK
    assert report.attempts == 1
    assert report.error
    assert report.running_digest == policy_digest(OLD)
    assert node.manifest == before
    assert node.is_ready()
    assert_nothing_lies_about(node)


@pytest.mark.parametrize("behaviour", BAD)
def test_a_bad_first_policy_leaves_the_manifest_as_it_was_found(behaviour):
    node = SimulatedNode(MANIFEST, {policy_digest(NEW): behaviour})
    report = drive(node, rollout_on(node), asking_for(NEW), NEW, seconds=1800.0)
    assert report.state is NodeState.ROLLED_BACK
    assert node.manifest == MANIFEST
    assert node.is_ready()


def test_a_refused_policy_is_not_waited_for():
    node = node_running(OLD, **{NEW: Behaviour.REFUSED})
    drive(node, rollout_on(node), asking_for(NEW), NEW, seconds=60.0)
    assert node.is_ready()
    assert node.unready < 45.0


def test_a_failed_policy_is_tried_again_when_somebody_asks():
    node = node_running(OLD, **{NEW: Behaviour.REFUSED})
    rollout = rollout_on(node)
    drive(node, rollout, asking_for(NEW), NEW)
    node.behaviours.clear()
    report = drive(node, rollout, asking_for(NEW, retry="now"), NEW)
    assert report.state is NodeState.RUNNING
    assert report.failures == {}


def test_another_policy_replaces_one_that_has_failed():
    node = node_running(OLD, **{NEW: Behaviour.NEVER_READY})
    rollout = rollout_on(node)
    drive(node, rollout, asking_for(NEW), NEW)
    report = drive(node, rollout, asking_for("newer"), "newer")
    assert report.state is NodeState.RUNNING
    assert report.running_digest == policy_digest("newer")


def test_an_api_server_that_reboots_with_its_node_is_not_blamed():
    node = node_running(OLD)
    node.after(60.0, node.reboot)
    node.after(150.0, node.reboot)
    report = drive(node, rollout_on(node), asking_for(NEW), NEW)
    assert report.state is NodeState.RUNNING


def test_a_kubelet_that_does_not_act_leaves_the_api_server_as_it_is():
    node = node_running(OLD)
    before, node.kubelet_runs = node.manifest, False
    report = drive(node, rollout_on(node), asking_for(NEW), NEW)
    assert report.state is NodeState.ROLLED_BACK
    assert "kubelet has not acted" in report.error
    assert node.manifest == before
    assert node.unready == 0.0


# Disks


def test_a_full_disk_changes_nothing():
    node = node_running(OLD)
    node.disk_full = True
    before = node.manifest
    report = drive(node, rollout_on(node), asking_for(NEW), NEW, seconds=60.0)
    assert (report.state, report.blocked) == (NodeState.BLOCKED, Obstacle.NODE_ERROR)
    assert "No space left" in report.error
    assert node.manifest == before
    assert node.unready == 0.0


def test_going_back_needs_no_space():
    node = node_running(OLD, **{NEW: Behaviour.NEVER_READY})
    before = node.manifest
    node.after(30.0, lambda: setattr(node, "disk_full", True))
    drive(node, rollout_on(node), asking_for(NEW), NEW)
    assert node.manifest == before
    assert node.is_ready()
    node.disk_full = False
    report = drive(node, rollout_on(node), asking_for(NEW), NEW)
    assert report.state is NodeState.ROLLED_BACK


def test_a_change_goes_on_when_a_full_disk_has_room_again():
    node = node_running(OLD)
    node.disk_full = True
    node.after(60.0, lambda: setattr(node, "disk_full", False))
    assert drive(node, rollout_on(node), asking_for(NEW), NEW).state is NodeState.RUNNING


def test_logs_that_would_not_fit_block_the_change():
    node = node_running(OLD)
    node.free = 100 * 1024 * 1024
    report = drive(node, rollout_on(node), asking_for(NEW), NEW, seconds=60.0)
    assert (report.state, report.blocked) == (NodeState.BLOCKED, Obstacle.LOG_SPACE)
    assert "1100 MB" in report.error


# Other hands


def test_an_audit_policy_of_somebody_else_needs_leave():
    foreign = enrolled(MANIFEST, configuration("theirs"), "/etc/kubernetes/theirs")
    node = SimulatedNode(foreign)
    report = drive(node, rollout_on(node), asking_for(NEW), NEW, seconds=60.0)
    assert (report.state, report.blocked) == (NodeState.BLOCKED, Obstacle.ADOPTION_REQUIRED)
    assert report.foreign_policy == "the policy of somebody else"
    assert node.manifest == foreign


def test_of_a_large_policy_of_somebody_else_whole_characters_are_shown_as_far_as_an_annotation_has_room():
    node = SimulatedNode(enrolled(MANIFEST, configuration("theirs"), "/etc/kubernetes/theirs"))
    policy = "#" + "ü" * LARGEST_POLICY
    node.running_policy = lambda _server: policy
    shown = drive(node, rollout_on(node), asking_for(NEW), NEW, seconds=60.0).foreign_policy
    assert policy.startswith(shown)
    assert len(shown.encode()) == LARGEST_POLICY - 1, "the last character would have needed one byte more"


def test_with_leave_the_policy_of_somebody_else_is_replaced_and_can_come_back():
    foreign = MANIFEST.replace(
        "    - --allow-privileged=true\n",
        "    - --allow-privileged=true\n    - --audit-policy-file=/etc/kubernetes/pki/audit.yaml # ours since 2019\n",
    )
    node = SimulatedNode(foreign)
    rollout = rollout_on(node)
    report = drive(node, rollout, asking_for(NEW, adopt=True), NEW)
    assert report.state is NodeState.RUNNING
    assert report.foreign_policy == ""
    drive(node, rollout, asking_for(NEW, adopt=True, enrolled=False), NEW)
    assert node.manifest == foreign


def test_flags_changed_by_somebody_else_stop_everything():
    node = node_running(OLD)
    theirs = node.manifest.replace("--audit-log-maxage=30", "--audit-log-maxage=1")
    node.manifest = theirs
    report = drive(node, rollout_on(node), asking_for(NEW, adopt=True), NEW, seconds=120.0)
    assert (report.state, report.blocked) == (NodeState.BLOCKED, Obstacle.FOREIGN_CHANGE)
    assert node.manifest == theirs


def test_a_foreign_change_is_taken_over_once_when_somebody_asks():
    node = node_running(OLD)
    rollout = rollout_on(node)
    node.manifest = MANIFEST  # as `kubeadm upgrade` would write it
    assert drive(node, rollout, asking_for(OLD), OLD, seconds=60.0).blocked == Obstacle.FOREIGN_CHANGE
    assert drive(node, rollout, asking_for(OLD, retry="1"), OLD).state is NodeState.RUNNING
    node.manifest = MANIFEST
    assert drive(node, rollout, asking_for(OLD, retry="1"), OLD, seconds=60.0).blocked == Obstacle.FOREIGN_CHANGE


def test_changes_of_others_outside_of_our_part_are_none_of_our_business():
    node = node_running(OLD)
    node.manifest = node.manifest.replace("- --allow-privileged=true", "- --allow-privileged=false")
    report = drive(node, rollout_on(node), asking_for(NEW), NEW)
    assert report.state is NodeState.RUNNING
    assert "- --allow-privileged=false" in node.manifest


def test_going_back_keeps_what_others_wrote_meanwhile():
    node = node_running(OLD, **{NEW: Behaviour.NEVER_READY})
    before = node.manifest

    def meddle():
        node.manifest = node.manifest.replace("- --allow-privileged=true", "- --allow-privileged=false")

    node.after(60.0, meddle)
    report = drive(node, rollout_on(node), asking_for(NEW), NEW)
    assert report.state is NodeState.ROLLED_BACK
    assert node.manifest == before.replace("- --allow-privileged=true", "- --allow-privileged=false")
    assert node.is_ready()


def test_flags_changed_by_somebody_else_during_a_change_are_left_alone():
    node = node_running(OLD, **{NEW: Behaviour.NEVER_READY})

    def meddle():
        node.manifest = node.manifest.replace("--audit-log-maxage=30", "--audit-log-maxage=7")

    node.after(60.0, meddle)
    report = drive(node, rollout_on(node), asking_for(NEW), NEW)
    assert (report.state, report.blocked) == (NodeState.BLOCKED, Obstacle.FOREIGN_CHANGE)
    assert "--audit-log-maxage=7" in node.manifest
    assert_nothing_lies_about(node)


@pytest.mark.parametrize("behaviour", [Behaviour.NEVER_READY, Behaviour.DIES_LATE])
def test_what_failed_while_somebody_else_wrote_is_said_and_not_tried_again(behaviour):
    node = node_running(OLD, **{NEW: behaviour})
    rollout, before = rollout_on(node), node.manifest
    node.after(50.0, lambda: setattr(node, "manifest", node.manifest.replace("maxage=30", "maxage=7")))
    report = drive(node, rollout, asking_for(NEW), NEW, seconds=1800.0)
    assert (report.state, report.blocked) == (NodeState.BLOCKED, Obstacle.FOREIGN_CHANGE)
    assert "not taken back" in report.error
    assert report.failures.keys() == {configuration(NEW).id}, "other nodes are not to try it"
    node.manifest = before
    report = drive(node, rollout, asking_for(NEW), NEW)
    assert (report.state, report.attempts) == (NodeState.ROLLED_BACK, 1)
    assert node.manifest == before


def test_leave_to_take_over_ends_with_a_change_in_which_somebody_else_wrote():
    node = node_running(OLD, **{NEW: Behaviour.NEVER_READY})
    rollout = rollout_on(node)
    node.manifest = node.manifest.replace("maxage=30", "maxage=7")
    drive(node, rollout, asking_for(NEW), NEW, seconds=60.0)
    node.after(50.0, lambda: setattr(node, "manifest", node.manifest.replace("maxage=30", "maxage=8")))
    report = drive(node, rollout, asking_for(NEW, retry="1"), NEW)
    assert (report.blocked, report.attempts) == (Obstacle.FOREIGN_CHANGE, 1)
    report = drive(node, rollout, asking_for(OLD, retry="1"), OLD)
    assert report.blocked == Obstacle.FOREIGN_CHANGE
    assert "maxage=8" in node.manifest


def test_a_takeover_that_failed_says_both_why_it_stopped_and_why_it_failed():
    node = node_running(OLD, **{NEW: Behaviour.REFUSED})
    rollout, theirs = rollout_on(node), node.manifest.replace("maxage=30", "maxage=7")
    node.manifest = theirs
    report = drive(node, rollout, asking_for(NEW, retry="1"), NEW)
    assert (report.blocked, report.attempts) == (Obstacle.FOREIGN_CHANGE, 1)
    assert "loading audit policy file" in report.error
    assert node.manifest == theirs


@pytest.mark.parametrize(
    ("manifest", "obstacle"),
    [(None, Obstacle.NO_MANIFEST), ("{}", Obstacle.UNSUITABLE_MANIFEST), ("a: [", Obstacle.UNSUITABLE_MANIFEST)],
)
def test_a_manifest_that_cannot_be_edited_is_said(manifest, obstacle):
    node = SimulatedNode(MANIFEST)
    node.manifest = manifest
    rollout = rollout_on(node)
    assert rollout.look(asking_for(NEW), NEW) is Todo.NOTHING
    assert rollout.report.blocked == obstacle


# What holds a change back


def test_a_paused_rollout_begins_nothing():
    node = node_running(OLD)
    assert drive(node, rollout_on(node), asking_for(NEW, paused=True), NEW, 60.0).state is NodeState.WAITING
    assert node.effects == []


def test_nothing_begins_when_the_turn_is_over():
    node = node_running(OLD)
    rollout, before = rollout_on(node), node.manifest
    rollout.change(asking_for(NEW), NEW, lambda: False)
    assert node.manifest == before
    assert_nothing_lies_about(node)


def test_a_policy_that_the_binary_refuses_is_never_tried():
    node = node_running(OLD)
    node.verdict = Preflight(Verdict.REFUSED)
    report = drive(node, rollout_on(node), asking_for(NEW), NEW, seconds=60.0)
    assert (report.state, report.blocked) == (NodeState.BLOCKED, Obstacle.POLICY_REFUSED)
    assert configuration(NEW).id in report.failures
    assert node.unready == 0.0


def test_a_policy_that_was_refused_is_judged_anew_when_the_api_server_has_been_upgraded():
    node = node_running(OLD)
    node.verdict = Preflight(Verdict.REFUSED)
    rollout = rollout_on(node)
    drive(node, rollout, asking_for(NEW), NEW, seconds=60.0)
    node.verdict, node.gitversion = Preflight(Verdict.ACCEPTED), "v1.38.0"
    assert drive(node, rollout, asking_for(NEW), NEW, seconds=60.0).state is NodeState.BLOCKED
    node.reboot()
    report = drive(node, rollout, asking_for(NEW), NEW)
    assert (report.state, report.running_digest) == (NodeState.RUNNING, policy_digest(NEW))
    assert report.failures == {}


def test_the_version_is_that_of_the_process_that_answers():
    node = node_running(OLD)
    rollout = rollout_on(node)
    assert drive(node, rollout, asking_for(OLD), OLD, 10.0).api_server_version == "v1.37.2"
    node.gitversion = "v1.38.0"
    node.reboot()
    rollout.look(asking_for(OLD), OLD)
    assert (rollout.report.ready, rollout.report.api_server_version) == (False, "v1.37.2")
    assert drive(node, rollout, asking_for(OLD), OLD, 60.0).api_server_version == "v1.38.0"


def test_a_policy_that_is_not_known_yet_is_waited_for():
    node = node_running(OLD)
    assert rollout_on(node).look(asking_for(NEW), "") is Todo.NOTHING


def test_an_api_server_that_is_not_ready_is_left_alone():
    node = node_running(OLD)
    node.behaviours = {policy_digest(OLD): Behaviour.NEVER_READY}
    node.reboot()
    report = drive(node, rollout_on(node), asking_for(NEW), NEW, seconds=60.0)
    assert report.state is NodeState.FAILED
    assert read_back(node.manifest, POLICIES) == configuration(OLD)


# Without instructions


def test_a_node_that_has_lost_its_instructions_stays_as_it_is_and_says_what_has_failed_there():
    node = node_running(OLD, **{NEW: Behaviour.REFUSED})
    rollout, before = rollout_on(node), node.manifest
    failures = drive(node, rollout, asking_for(NEW), NEW).failures
    assert failures
    for each in (rollout, rollout_on(node)):
        report = drive(node, each, None, "")
        assert (report.state, report.plane, report.failures) == (NodeState.IDLE, "", failures)
    assert node.manifest == before


def test_a_node_that_has_lost_its_instructions_claims_nothing_about_its_api_server():
    node = node_running(OLD)
    rollout = rollout_on(node)
    assert drive(node, rollout, asking_for(OLD), OLD, 60.0).ready
    report = drive(node, rollout, None, "", 60.0)
    assert (report.ready, report.running_digest, report.since) == (False, "", None)


# Death


def _scenarios():
    yield "enrol", lambda: SimulatedNode(MANIFEST), asking_for(NEW)
    yield "change", lambda: node_running(OLD), asking_for(NEW)
    yield "unenrol", lambda: node_running(OLD), asking_for(NEW, enrolled=False)
    yield "bad first", lambda: SimulatedNode(MANIFEST, {policy_digest(NEW): Behaviour.REFUSED}), asking_for(NEW)
    for behaviour in BAD:
        yield behaviour.name, lambda bad=behaviour: node_running(OLD, **{NEW: bad}), asking_for(NEW)


SCENARIOS = list(_scenarios())


@pytest.mark.parametrize(
    ("make", "instructions"), [each[1:] for each in SCENARIOS], ids=[each[0] for each in SCENARIOS]
)
def test_an_agent_may_die_before_any_effect(make, instructions):
    expected = make()
    last = drive(expected, rollout_on(expected), instructions, NEW, seconds=1800.0)
    for moment in some(range(len(expected.effects))):
        node = make()
        node.die_before = moment
        with pytest.raises(Death):
            drive(node, rollout_on(node), instructions, NEW, seconds=1800.0)
        node.die_before = None
        # The API server comes back by what lies on the node alone: the cluster says nothing at first.
        drive(node, rollout_on(node), None, "", seconds=1200.0)
        assert node.is_ready(), f"not ready after death before effect {moment}, {expected.effects[moment]}"
        report = drive(node, rollout_on(node), instructions, NEW, seconds=700.0)
        where = f"after death before effect {moment}, {expected.effects[moment]}"
        assert node.manifest == expected.manifest, where
        assert report.state is last.state, where
        assert report.failures.keys() == last.failures.keys(), where
        assert_nothing_lies_about(node)
