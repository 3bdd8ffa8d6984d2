"""Operator and agents speak through a real API server: what is said is heard, and policies cannot change."""

from __future__ import annotations

import pytest

from audit_operator.api.observations import policy_digest
from audit_operator.cluster.connection import connect
from audit_operator.cluster.resources import CONFIG_MAP
from audit_operator.cluster.rest import ApiError, RestClient
from audit_operator.controller.board import ClusterBoard
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.static_pod.audit_flags import AuditConfiguration, LogSettings
from audit_operator.controlplane.static_pod.board import TurnLost
from audit_operator.controlplane.static_pod.instructions import COMPONENT_LABEL, Instructions, policy_name
from audit_operator.controlplane.static_pod.report import NodeReport, NodeState

TEXT = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
DIGEST = policy_digest(TEXT)


@pytest.fixture
async def client(control_plane):
    connection = await connect(control_plane.kubeconfig())
    yield RestClient(connection.session(), attempts=1)
    await connection.aclose()


@pytest.fixture
def board(client, namespace):
    return ClusterBoard(client, namespace, "audit-operator")


def asking(**more):
    configuration = AuditConfiguration(DIGEST, LogSettings(max_age=60))
    return Instructions(plane="main", nodes=("cp-1", "cp-2"), configuration=configuration, **more)


def policies(control_plane, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps?labelSelector={COMPONENT_LABEL}%3Dpolicy"
    return {each["metadata"]["name"]: each for each in control_plane.get(path)["items"]}


async def test_instructions_are_read_as_they_were_given(board):
    assert await board.instructions() == ()
    await board.instruct(asking())
    other = asking(adopt=True, paused=True, retry="x", ready_timeout=90.0).model_copy(update={"plane": "other"})
    await board.instruct(other)
    assert set(map(str, await board.instructions())) == set(map(str, (asking(), other)))
    await board.instruct(asking(enrolled=False))
    assert asking(enrolled=False) in await board.instructions()


async def test_instructions_go_with_their_control_plane_and_policies_do_not(board, control_plane, namespace):
    await board.publish_policy(DIGEST, TEXT)
    for uid in ("of the one before", "of this one"):
        await board.instruct(asking().model_copy(update={"uid": uid}))
    owners = {
        each["metadata"]["name"]: each["metadata"].get("ownerReferences")
        for each in control_plane.get(f"/api/v1/namespaces/{namespace}/configmaps")["items"]
    }
    # By this the garbage collector, which does not run here, knows what to remove.
    owner = {"apiVersion": "audit-operator.dev/v1alpha1", "kind": "AuditControlPlane", "name": "main"}
    assert owners == {"audit-rollout-main": [{**owner, "uid": "of this one"}], policy_name(DIGEST): None}


async def test_instructions_that_are_not_understood_are_passed_over(board, control_plane, namespace):
    await board.instruct(asking())
    for name, data in (("newer", {"instructions.json": '{"version": 2}'}), ("empty", {})):
        metadata = {"name": name, "namespace": namespace, "labels": {COMPONENT_LABEL: "rollout"}}
        control_plane.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    assert await board.instructions() == (asking(),)


async def test_saying_the_same_again_writes_nothing(board, control_plane, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    versions = []
    for _ in range(2):
        await board.instruct(asking())
        await board.publish_policy(DIGEST, TEXT)
        items = control_plane.get(path)["items"]
        versions.append({each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in items})
    assert versions[0] == versions[1]


async def test_a_policy_is_read_as_it_was_published(board):
    assert await board.policy(DIGEST) == ""
    await board.publish_policy(DIGEST, TEXT)
    assert await board.policy(DIGEST) == TEXT


async def test_a_policy_cannot_be_changed(board, client, namespace):
    await board.publish_policy(DIGEST, TEXT)
    with pytest.raises(BoardUnavailable, match="immutable"):
        await board.publish_policy(DIGEST, TEXT + "# more\n")
    with pytest.raises(ApiError) as refused:
        await client.merge(CONFIG_MAP, name=policy_name(DIGEST), namespace=namespace, body={"immutable": False})
    assert refused.value.status == 422
    assert await board.policy(DIGEST) == TEXT


async def test_what_is_not_the_policy_that_its_name_says_is_none(board):
    await board.publish_policy(DIGEST, TEXT + "# put there by somebody else\n")
    assert await board.policy(DIGEST) == ""


async def test_policies_that_nobody_needs_are_forgotten_but_for_the_latest(board, control_plane, namespace):
    digests = [policy_digest(f"policy {number}") for number in range(8)]
    for number, digest in enumerate(digests):
        await board.publish_policy(digest, f"policy {number}")
    await board.forget_policies_except(digests)
    assert len(policies(control_plane, namespace)) == 8
    await board.forget_policies_except(digests[:2])
    left = policies(control_plane, namespace)
    assert {policy_name(each) for each in digests[:2]} <= left.keys()
    assert 5 <= len(left) <= 7
    await board.instruct(asking())
    await board.forget_policies_except(())
    assert len(policies(control_plane, namespace)) == 5
    assert len(await board.instructions()) == 1, "only policies are forgotten"


async def test_a_report_is_heard_and_its_renewal_is_seen(board):
    assert await board.reports() == {}
    report = NodeReport(plane="main", state=NodeState.ROLLED_BACK, failures={"id": "why"}, error="ü" * 1000)
    await board.report("cp-1", report)
    await board.report("cp-2", NodeReport())
    first = await board.reports()
    assert set(first) == {"cp-1", "cp-2"}
    assert first["cp-1"].report == report
    assert 0.0 <= first["cp-1"].age < 60.0
    await board.report("cp-1", report)
    second = await board.reports()
    assert second["cp-1"].version != first["cp-1"].version
    assert second["cp-2"].version == first["cp-2"].version


async def test_a_report_in_the_name_of_another_node_or_in_another_format_is_not_heard(board, control_plane, namespace):
    await board.report("cp-1", NodeReport(plane="main"))
    for name, node, text in (
        ("audit-agent-cp-0", "cp-1", NodeReport(plane="forged").model_dump_json()),
        ("audit-agent-cp-2", "cp-2", '{"version": 2}'),
    ):
        metadata = {
            "name": name,
            "namespace": namespace,
            "labels": {COMPONENT_LABEL: "agent"},
            "annotations": {"audit-operator.dev/report": text},
        }
        kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
        control_plane.apply({**kind, "metadata": metadata, "spec": {"holderIdentity": node}})
    heard = await board.reports()
    assert {node: each.report.plane for node, each in heard.items()} == {"cp-1": "main"}


async def test_a_turn_is_taken_given_back_and_taken_again(board):
    free = await board.turn("main")
    assert (free.holder, free.version) == ("", "")
    taken = await board.write_turn("main", free, "cp-1")
    assert await board.turn("main") == taken
    back = await board.write_turn("main", taken, "")
    assert back.version != taken.version
    assert (await board.write_turn("main", back, "cp-2")).holder == "cp-2"


async def test_of_two_that_write_a_turn_one_has_lost_it(board):
    free = await board.turn("main")
    taken = await board.write_turn("main", free, "cp-1")
    with pytest.raises(TurnLost):
        await board.write_turn("main", free, "cp-2")
    await board.write_turn("main", taken, "cp-1")
    with pytest.raises(TurnLost):
        await board.write_turn("main", taken, "cp-2")
    assert (await board.turn("main")).holder == "cp-1"


async def test_nodes_are_found_by_all_of_their_labels(board, control_plane, namespace):
    for name, labels in (("b", {"mine": namespace, "role": "cp"}), ("a", {"mine": namespace, "role": "cp"})):
        control_plane.apply(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name + namespace, "labels": labels}}
        )
    try:
        assert list(await board.nodes({"mine": namespace, "role": "cp"})) == [f"a{namespace}", f"b{namespace}"]
        assert await board.nodes({"mine": namespace, "role": "worker"}) == {}
    finally:
        control_plane.kubectl("delete", "node", f"a{namespace}", f"b{namespace}")
