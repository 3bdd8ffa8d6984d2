"""Operator and shippers speak through a real API server: what is said is heard, and said again it writes nothing."""

from __future__ import annotations

import base64

import pytest

from audit_operator.api.observations import ShipperObservation
from audit_operator.cluster.connection import connect
from audit_operator.cluster.resources import SECRET
from audit_operator.cluster.rest import RestClient
from audit_operator.controller.shipper_board import ClusterShipperBoard
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.shipper.report import ShipperReport


@pytest.fixture
async def board(control_plane, namespace):
    connection = await connect(control_plane.kubeconfig())
    yield ClusterShipperBoard(RestClient(connection.session(), attempts=1), namespace, "audit-operator")
    await connection.aclose()


async def test_what_is_told_is_read_as_it_was_given(board):
    assert await board.revision("main") == ""
    assert await board.told("main") is None
    revision = await board.tell("main", "", b"\x00\xff", "ab")
    assert revision
    assert await board.revision("main") == revision
    told = await board.told("main")
    assert (told.revision, told.instructions, told.pseudonym_keys) == (revision, b"\x00\xff", "ab")


async def test_the_same_told_again_writes_nothing(board):
    first = await board.tell("main", "uid", b"x", "ab")
    assert await board.tell("main", "uid", b"x", "ab") == first
    assert await board.tell("main", "uid", b"y", "ab") != first


async def test_what_is_told_goes_with_its_control_plane(board, control_plane, namespace):
    await board.tell("main", "of this one", b"x", "ab")
    secret = control_plane.get(f"/api/v1/namespaces/{namespace}/secrets/audit-shipper-main")
    owner = {"apiVersion": "audit-operator.dev/v1alpha1", "kind": "AuditControlPlane", "name": "main"}
    assert secret["metadata"]["ownerReferences"] == [{**owner, "uid": "of this one"}]
    assert secret["metadata"]["labels"] == {"audit-operator.dev/component": "shipper"}
    assert base64.b64decode(secret["data"]["pseudonym.keys"]) == b"ab"


async def test_asking_whether_something_has_changed_reads_no_secret(board):
    await board.tell("main", "", b"x" * 100_000, "ab")
    found = await board.client.metadata(SECRET, name="audit-shipper-main", namespace=board.namespace)
    assert found["kind"] == "PartialObjectMetadata"
    assert "data" not in found


async def test_a_keyring_is_replaced_only_by_whoever_has_read_it_and_outlives_its_control_plane(board):
    assert (await board.keyring_revision("main"), await board.keyring("main")) == ("", None)
    await board.keep_keyring("main", b"\x00one", "")
    first = await board.keyring("main")
    assert (first.content, first.revision) == (b"\x00one", await board.keyring_revision("main"))
    with pytest.raises(BoardUnavailable):
        await board.keep_keyring("main", b"made meanwhile", "")
    await board.keep_keyring("main", b"two", first.revision)
    with pytest.raises(BoardUnavailable):
        await board.keep_keyring("main", b"one again", first.revision)
    assert (await board.keyring("main")).content == b"two"
    secret = await board.client.get(SECRET, name="audit-pseudonyms-main", namespace=board.namespace)
    assert "ownerReferences" not in secret["metadata"]


async def test_reports_are_heard_with_when_they_were_renewed(board):
    assert await board.reports() == {}
    report = ShipperReport(plane="main", wanted="ab", seen=ShipperObservation("cp-1", healthy=True))
    await board.report("cp-1", report)
    first = (await board.reports())["cp-1"]
    assert first.report == report
    assert first.renewed is not None
    assert first.age < 60
    await board.report("cp-1", report)
    assert (await board.reports())["cp-1"].version != first.version


async def test_reports_that_are_not_understood_or_not_the_nodes_own_are_passed_over(board, control_plane, namespace):
    await board.report("cp-1", ShipperReport(plane="main"))
    for name, holder, said in (("audit-shipper-x", "x", '{"version": 2}'), ("stolen", "cp-1", '{"plane": "main"}')):
        metadata = {
            "name": name,
            "namespace": namespace,
            "labels": {"audit-operator.dev/component": "shipper"},
            "annotations": {"audit-operator.dev/report": said},
        }
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
        control_plane.apply({**lease, "spec": {"holderIdentity": holder}})
    assert set(await board.reports()) == {"cp-1"}


async def test_nodes_are_selected_by_labels(board, control_plane):
    labels = {"shipper-board-test": ""}
    for name in ("node-b", "node-a"):
        control_plane.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    assert await board.nodes("shipper-board-test=") == ("node-a", "node-b")
    assert await board.nodes("shipper-board-test") == ("node-a", "node-b")
    control_plane.kubectl("delete", "node", "node-a", "node-b")
