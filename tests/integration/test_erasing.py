"""Keys and records of an erasure in a real cluster."""

from __future__ import annotations

import json
from argparse import Namespace

import pytest

from audit_operator.cli.erase import _Erasure
from audit_operator.cli.erasing import opened
from audit_operator.cli.inputs import Facts
from audit_operator.cluster.connection import connect
from audit_operator.cluster.resources import AUDIT_POLICY, CONFIG_MAP
from audit_operator.cluster.rest import ApiError, RestClient
from audit_operator.controller.shipper_board import ClusterShipperBoard
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.plan.erasure import Why
from audit_operator.plan.snapshot import Snapshot
from audit_operator.retention.erasure import ErasureRecord, Phase

RECORD = ErasureRecord(id="20261128-0a", phase=Phase.BEGUN, time="", subject="s-1", control_plane="main")


async def test_keys_change_on_condition_and_records_never(control_plane, namespace):
    options = Namespace(
        keyring=None, register=None, kubeconfig=control_plane.kubeconfig(), context="", operator_namespace=namespace
    )
    connection = await connect(control_plane.kubeconfig())
    try:
        client = RestClient(connection.session(), attempts=1)
        operator = ClusterShipperBoard(client, namespace, "audit-operator")
        async with opened(options, "main") as places:
            assert await places.keyring() is None
            await operator.keep_keyring("main", b"one", "")
            read = await places.keyring()
            await places.keep_keyring(b"two", read.revision)
            with pytest.raises(BoardUnavailable):
                await operator.keep_keyring("main", b"one, from memory", read.revision)
            await operator.keep_keyring("main", b"three", await operator.keyring_revision("main"))
            assert (await places.keyring()).content == b"three"

            where = await places.register(RECORD)
            with pytest.raises(BoardUnavailable):
                await places.register(RECORD)
        name = where.rpartition("/")[2]
        kept = await client.get(CONFIG_MAP, name=name, namespace=namespace)
        assert json.loads(kept["data"]["record.json"])["subject"] == "s-1"
        kept["data"] = {"record.json": "another"}
        with pytest.raises(ApiError, match="immutable"):
            await client.replace(CONFIG_MAP, kept)
    finally:
        await connection.aclose()


@pytest.mark.usefixtures("crds")
async def test_a_hold_is_seen_that_was_set_while_an_erasure_runs(control_plane, namespace):
    options = Namespace(filename=None, kubeconfig=control_plane.kubeconfig(), context="")
    erasure = _Erasure(options, Facts(Snapshot(), ()), "main", in_earnest=True)
    assert (await erasure._obstacles_now()).to(namespace) == ()
    connection = await connect(control_plane.kubeconfig())
    try:
        held = {
            "apiVersion": AUDIT_POLICY.api_version,
            "kind": AUDIT_POLICY.kind,
            "metadata": {"name": "held", "namespace": namespace},
            "spec": {"rules": [{"level": "Metadata"}], "retention": {"legalHold": True}},
        }
        await RestClient(connection.session(), attempts=1).create(AUDIT_POLICY, held)
        assert [each.why for each in (await erasure._obstacles_now()).to(namespace)] == [Why.LEGAL_HOLD]
    finally:
        await connection.aclose()
