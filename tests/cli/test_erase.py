"""`erase` refuses what makes no sense before it looks at a store; tests/integration/shipping has what it does."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from datetime import UTC, datetime

import pytest

from audit_operator.cli import main
from audit_operator.cli.erase import _Erasure
from audit_operator.cli.erasing import opened
from audit_operator.cli.inputs import Facts
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.plan.snapshot import Snapshot
from audit_operator.retention.erasure import ErasureRecord, Phase
from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, REGISTER_BYTES, Keyring
from tests.plan.test_retention import sink

OBJECTS = """
apiVersion: audit-operator.dev/v1alpha1
kind: ClusterAuditSink
metadata: {name: central}
spec: {type: VictoriaLogs, victoriaLogs: {url: "http://127.0.0.1:1"}}
---
apiVersion: audit-operator.dev/v1alpha1
kind: AuditControlPlane
metadata: {name: main}
spec: {default: true, driver: Process}
"""


@pytest.fixture
def erase(tmp_path, capsys):
    ring = Keyring.begun(datetime.now(UTC), bytes(range(RANDOM_BYTES + REGISTER_BYTES)))
    (tmp_path / "keys").write_bytes(ring.encoded())

    def erase(*options, objects=OBJECTS):
        (tmp_path / "objects.yaml").write_text(objects)
        places = ["--keyring", str(tmp_path / "keys"), "--register", str(tmp_path / "register")]
        status = main(["erase", "--subject", "dora", "-f", str(tmp_path / "objects.yaml"), *places, *options])
        return status, capsys.readouterr().err

    return erase


def test_the_reason_may_not_name_the_subject(erase):
    status, said = erase("--all", "--reason", "Dora asked for it")
    assert status == 2
    assert "--reason is kept for ever" in said


def test_without_a_control_plane_nobody_knows_what_policies_forbid(erase):
    status, said = erase("--all", objects=OBJECTS.partition("---")[0])
    assert status == 2
    assert "there is no AuditControlPlane among the objects" in said
    several = OBJECTS + "---\n" + OBJECTS.replace("name: ", "name: other-")
    status, said = erase("--all", objects=several)
    assert status == 2
    assert "there are several control planes: --control-plane must be one of" in said


def test_keys_and_register_are_given_together(tmp_path, capsys):
    assert main(["erase", "--subject", "dora", "--all", "--keyring", str(tmp_path / "k")]) == 2
    assert "belong together" in capsys.readouterr().err


def test_keys_that_cannot_be_read_are_no_keys(erase, tmp_path):
    (tmp_path / "keys").write_bytes(b"broken")
    status, said = erase("--all", "--yes")
    assert status == 2
    assert "not all records would be found" in said
    assert (tmp_path / "keys").read_bytes() == b"broken"


def test_a_store_that_is_away_is_a_failure_that_is_recorded(erase, tmp_path):
    status, said = erase("--all", "--yes")
    assert status == 1
    assert "ClusterAuditSink central: " in said
    assert len(list((tmp_path / "register").iterdir())) == 2


def test_a_namespace_or_all_of_them_must_be_named(erase):
    with pytest.raises(SystemExit):
        erase()


def test_in_files_a_record_is_never_replaced_nor_are_keys_that_others_have_written(tmp_path):
    options = Namespace(keyring=tmp_path / "keys", register=tmp_path / "register")
    record = ErasureRecord(id="1", phase=Phase.BEGUN, time="", subject="s-1", control_plane="main")

    async def use():
        async with opened(options, "main") as places:
            assert await places.keyring() is None
            await places.register(record)
            with pytest.raises(BoardUnavailable):
                await places.register(record)
            (tmp_path / "keys").write_bytes(b"one")
            held = await places.keyring()
            await places.keep_keyring(b"two", held.revision)
            with pytest.raises(BoardUnavailable):
                await places.keep_keyring(b"three", held.revision)
        assert (tmp_path / "keys").read_bytes() == b"two"

    asyncio.run(use())


def test_keys_are_destroyed_for_all_sinks_or_for_none(erase):
    status, said = erase("--all", "--destroy-keys", "--sink", "central")
    assert status == 2
    assert "leave out --sink" in said


def test_what_verification_is_to_believe_needs_a_key_and_a_place(erase, tmp_path):
    status, said = erase("--all", "--warrants", str(tmp_path))
    assert status == 2
    assert "--sign-key and --warrants belong together" in said


def test_a_keyring_that_is_not_there_is_no_keyring_without_keys(erase, tmp_path):
    (tmp_path / "keys").unlink()
    status, said = erase("--all", "--yes")
    assert status == 2
    assert "there is no such file" in said
    assert not (tmp_path / "register").exists()


PICKING = """
---
apiVersion: audit-operator.dev/v1alpha1
kind: ClusterAuditPolicy
metadata: {name: held}
spec:
  rules: [{level: Metadata}]
  namespaceSelector: {matchLabels: {hold: "yes"}}
  retention: {legalHold: true}
"""


def test_files_without_namespaces_do_not_say_whom_a_selector_picks(erase):
    status, said = erase("--all", objects=OBJECTS + PICKING)
    assert status == 2
    assert "the files hold no Namespace" in said


def test_a_tenants_store_is_asked_only_for_what_a_subject_is_called_in_its_own_namespace():
    ring = Keyring.begun(datetime.now(UTC), bytes(range(RANDOM_BYTES + REGISTER_BYTES)))
    facts = Facts(Snapshot(audit_sinks=(sink(kind="AuditSink", namespace="web"),)), ())
    for asked in ({"all": True, "namespace": None}, {"all": False, "namespace": ["shop", "web"]}):
        erasure = _Erasure(Namespace(subject="dora", **asked), facts, "main", in_earnest=False)
        [theirs] = erasure._asked(facts.snapshot.sinks())
        assert set(asyncio.run(erasure._names(theirs, None, ring))) == {"web"}
    others = _Erasure(Namespace(subject="dora", all=False, namespace=["shop"]), facts, "main", in_earnest=False)
    assert others._asked(facts.snapshot.sinks()) == []
