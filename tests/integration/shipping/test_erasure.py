"""A subject erased from a real VictoriaLogs: all of it that nothing forbids, nothing of anybody else, and recorded."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from audit_operator.cli import main
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, REGISTER_BYTES, Keyring
from audit_operator.shipping.redaction.pseudonyms import PseudonymKey, pseudonym
from audit_operator.sinks.erasure import SubjectErasure
from tests.integration.reading.records import write as write_records
from tests.integration.shipping.test_retention import count, write
from tests.integration.shipping.test_sealing import RECORDS, SINCE, delete, found, record, victoria_logs_sink
from tests.integration.shipping.victoria_logs import settled, victoria_logs

NOW = datetime.now(UTC)
DORA = "dora.o'\"smith@example.com"
RING = Keyring.begun(NOW - timedelta(days=90), bytes(range(RANDOM_BYTES + REGISTER_BYTES)))
RING = RING.rotated(NOW - timedelta(days=10), hashlib.sha256(b"next").digest()[:RANDOM_BYTES])


def thing(kind, name, spec, namespace=""):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "audit-operator.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def policy(namespace, name="own", **retention):
    sinks = [{"kind": "ClusterAuditSink", "name": "central"}, {"kind": "ClusterAuditSink", "name": "cold"}]
    spec = {"rules": [{"level": "Metadata"}], "sinkRefs": sinks, "retention": retention}
    return thing("AuditPolicy", name, spec, namespace)


class World:
    def __init__(self, folder, url, capsys):
        self.folder, self.url, self.capsys = folder, url, capsys
        self.keyring, self.register = folder / "keyring.json.gz", folder / "register"
        self.keyring.write_bytes(RING.encoded())
        self.have(policy("shop"), policy("web"))
        self.rows = []

    def have(self, *policies, namespaces=("shop", "web")):
        names = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}} for each in namespaces]
        objects = [
            thing("AuditControlPlane", "main", {"default": True, "driver": "Observe", "observe": {"provider": "EKS"}}),
            thing("ClusterAuditSink", "central", {"type": "VictoriaLogs", "victoriaLogs": {"url": self.url}}),
            *names,
            *policies,
        ]
        (self.folder / "objects.yaml").write_text(yaml.safe_dump_all(objects))

    def record(self, namespace, user, *, cluster="main", days=1, **event):
        body = {"user": {"username": user}, **event}
        row = {
            "_time": (NOW - timedelta(days=days)).isoformat(),
            "_msg": json.dumps(body, separators=(",", ":"), ensure_ascii=False),
            "cluster": cluster,
            "auditID": str(len(self.rows)),
            "username": user,
            "namespace": namespace,
        }
        self.rows.append({key: value for key, value in row.items() if value})

    def ship(self):
        write(self.url, self.rows)
        for _ in range(600):
            if count(self.url, "*") == len(self.rows):
                return asyncio.run(settled(self.url))
            time.sleep(0.1)
        raise AssertionError(count(self.url, "*"))

    def erase(self, *options, subject=DORA):
        places = [
            "--keyring",
            str(self.keyring),
            "--register",
            str(self.register),
            "-f",
            str(self.folder / "objects.yaml"),
        ]
        status = main(["erase", "--subject", subject, *places, *options])
        said = self.capsys.readouterr()
        assert subject not in said.out
        return status, said.out, said.err

    @property
    def ring(self):
        return Keyring.decoded(self.keyring.read_bytes())

    @property
    def records(self):
        return [json.loads(each.read_text()) for each in sorted(self.register.glob("*.json"))]


@pytest.fixture
def world(tmp_path, capsys):
    with victoria_logs(tmp_path, "-retentionPeriod=400d", "-delete.enable") as url:
        yield World(tmp_path, url, capsys)


def pseudonyms(namespace, subject=DORA):
    return [pseudonym(key, namespace, subject) for key in RING.kept(namespace)]


def test_a_subject_is_erased_under_all_its_names_and_nobody_else_is(world):
    old, new = pseudonyms("shop")
    world.record("shop", old, days=60)
    world.record("shop", new)
    world.record("shop", DORA)
    world.record("shop", "eve", impersonatedUser={"groups": ["dev"], "username": new})
    world.record("shop", "eve", impersonatedUser={"username": DORA})
    mine = len(world.rows)
    world.record("shop", "[REDACTED]", responseStatus={"message": f'User "{old}" cannot'})
    world.record("shop", "eve", userAgent=f"kubectl {new}")
    world.record("shop", "eve", requestObject={"impersonatedUser": {"username": DORA}})
    others = len(world.rows) - mine
    world.record("shop", "eve", impersonatedUser={"username": DORA + "x"})
    world.record("shop", pseudonyms("shop", "eve")[1])
    world.record("web", pseudonyms("web")[0])
    world.record("web", new)  # of another namespace's key: nobody's there, and not asked for
    world.record("", pseudonyms("")[0])
    world.record("", DORA)
    world.rows[-1]["unseen"] = "made-up"
    world.record("shop", new, cluster="another")
    world.ship()

    status, said, _ = world.erase("-n", "shop")
    assert (status, world.records, world.ring) == (0, [], RING)
    assert (
        f"ClusterAuditSink central, shop: {mine} records, {mine} would be erased; {others} of other users hold" in said
    )
    assert count(world.url, "*") == len(world.rows)

    status, said, errors = world.erase("-n", "shop", "--reason", "GDPR-7", "--yes")
    assert status == 0, errors
    assert f"{mine} erased" in said
    assert count(world.url, "cluster:=main namespace:=shop") == 2 + others
    assert count(world.url, "cluster:=main namespace:=web") == 2
    assert count(world.url, "cluster:=another") == 1
    begun, ended = world.records
    assert (begun["phase"], ended["phase"], ended["reason"], ended["keys"]) == ("Begun", "Ended", "GDPR-7", "Renewed")
    assert ended["keysOf"] == ["shop"]
    assert ended["shares"][0] == {**begun["shares"][0], "left": 0}
    assert begun["subject"] == ended["subject"] != ""
    assert "dora" not in str(world.records)
    assert world.ring.kept("shop")[:2] == RING.kept("shop")
    assert world.ring.present.present("shop") not in RING.kept("shop")
    assert world.ring.present.present("web") == RING.present.present("web")
    for _ in range(600):
        if count(world.url, f'auditID:="erasure-{ended["id"]}"') == 1:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the store has no record of the erasure")

    status, said, _ = world.erase("--all", "--yes")
    assert status == 0
    assert "web: 1 records, 1 erased" in said
    assert "(unseen): 1 records, 1 erased" in said
    assert count(world.url, 'cluster:=main username:~"^p-"') == 2  # eve's, and the one that is nobody's
    assert world.erase("--all")[1].splitlines()[0].endswith("0 records found")


def test_what_a_hold_or_a_minimum_keeps_stays_and_whose_it_is_is_said(world):
    for days in (5, 50):
        world.record("shop", pseudonyms("shop")[0], days=days)
        world.record("web", pseudonyms("web")[0], days=days)
    world.ship()
    world.have(policy("shop", legalHold=True), policy("web", minimum="30d"))
    status, said, errors = world.erase("--all", "--destroy-keys", "--yes")
    assert status == 1
    assert "shop: 2 records, 0 erased; forbidden: legal hold of AuditPolicy shop/own" in said
    assert "web: 2 records, 1 erased; forbidden: minimum of 30d of AuditPolicy web/own" in said
    assert "keys of shop are not destroyed: legal hold of AuditPolicy shop/own" in errors
    assert count(world.url, "namespace:=shop") == 2
    assert count(world.url, "namespace:=web _time:>30d") + count(world.url, "namespace:=web") == 1
    assert world.ring == RING
    assert world.records[-1]["keys"] == "Kept"


def test_what_sidecars_have_made_of_the_name_is_found_by_the_key_of_their_policy(world):
    key, own = PseudonymKey.of("ab" * 32), policy("shop", "app")
    own["spec"] |= {
        "applicationLogs": {"files": [{"volume": "logs", "path": "audit.log"}]},
        "redaction": {"pseudonymize": ["Username"]},
    }
    world.record("shop", pseudonym(key, "shop", DORA))
    world.record("shop", pseudonym(key, "shop", "eve"))
    world.ship()
    world.have(own)
    status, said, _ = world.erase("-n", "shop")
    assert status == 1
    assert "sidecars of AuditPolicy shop/app: records with their pseudonyms are not found" in said
    content = {"environment": {"AUDIT_OPERATOR_PSEUDONYM_KEY": key.secret}, "files": {}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "audit-shipper-app", "namespace": "shop"},
        "stringData": {"sidecar.json": json.dumps(content)},
    }
    world.have(own, secret)
    status, said, errors = world.erase("-n", "shop", "--yes")
    assert status == 0, errors
    assert "shop: 1 records, 1 erased" in said
    assert count(world.url, "namespace:=shop") == 1


def test_destroyed_keys_take_everybodys_pseudonyms_of_the_namespace_with_them(world):
    world.record("shop", pseudonyms("shop")[0])
    world.record("shop", pseudonyms("shop", "eve")[0])
    world.ship()
    status, said, _ = world.erase("-n", "shop", "--destroy-keys")
    assert (status, world.ring) == (0, RING)
    assert "of NOBODY" in said
    assert world.erase("-n", "shop", "--destroy-keys", "--yes")[0] == 0
    gone = {each.secret for each in RING.kept("shop")}
    assert gone.isdisjoint(each.secret for each in world.ring.kept("shop"))
    assert world.ring.kept("web") == RING.kept("web")
    assert world.erase("-n", "shop", subject="eve")[1].splitlines()[0].endswith("0 records found")
    assert count(world.url, "namespace:=shop") == 1


def test_a_hold_that_is_set_while_others_are_erased_holds(world, monkeypatch):
    for each in ("shop", "web"):
        world.record(each, pseudonyms(each)[0])
    world.ship()
    erased = SubjectErasure.erase

    async def slowly(self, *given):
        left = await erased(self, *given)
        world.have(policy("web", legalHold=True))
        return left

    monkeypatch.setattr(SubjectErasure, "erase", slowly)
    status, said, _ = world.erase("--all", "--yes")
    assert status == 1
    assert "shop: 1 records, 1 erased" in said
    assert "web: 1 records, 0 erased; forbidden: legal hold of AuditPolicy web/own" in said
    assert count(world.url, "namespace:=web") == 1


def test_all_that_a_request_has_made_up_is_one_share_and_gets_no_keys(world):
    for number in range(20):
        world.record("", DORA)
        world.rows[-1]["unseen"] = f"made-up-{DORA}-{number}"
    world.record("", DORA)
    world.rows[-1]["unseen"] = "web"
    world.ship()
    world.have(policy("web", legalHold=True))
    status, said, errors = world.erase("--all", "--yes")
    assert status == 1, errors
    assert "(unseen): 20 records, 20 erased" in said
    assert "web: 1 records, 0 erased; forbidden" in said
    assert count(world.url, "cluster:=main unseen:*") == 1
    assert DORA not in json.dumps(world.records)
    assert set(world.ring.present.turns) <= {"web"}


def test_all_keys_are_destroyed_also_those_of_namespaces_in_which_nothing_was_found(world):
    world.record("web", pseudonyms("web")[0])
    world.ship()
    cold = {"type": "S3", "s3": {"bucket": "cold", "region": "eu-1"}}
    world.have(thing("ClusterAuditSink", "cold", cold))
    assert world.erase("--all", "--destroy-keys", "--yes")[0] == 1
    assert world.records[-1]["keys"] == "Destroyed"
    for each in ("web", "shop", "gone", ""):
        assert {key.secret for key in world.ring.kept(each)}.isdisjoint(key.secret for key in RING.kept(each))
    assert world.ring.register_key == RING.register_key


def test_a_tenants_store_is_asked_for_nothing_of_others_and_is_in_nobodys_way(world):
    world.record("shop", pseudonyms("shop")[0])
    world.ship()
    away = {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://192.0.2.1:9"}}
    here = {"type": "VictoriaLogs", "victoriaLogs": {"url": world.url}}
    world.have(thing("AuditSink", "x", away, "web"), thing("AuditSink", "local", here, "shop"))
    status, said, errors = world.erase("-n", "shop", "--destroy-keys", "--yes")
    assert (status, errors.count("AuditSink web/x")) == (1, 0)
    assert "AuditSink shop/local: it is not asked: " in said
    assert "web/x" not in said
    assert world.records[-1]["keys"] == "Destroyed"


def test_without_keys_nobody_says_that_nothing_has_pseudonyms(world, monkeypatch):
    async def none(_self):
        return None

    monkeypatch.setattr("audit_operator.cli.erasing._Files.keyring", none)
    world.record("shop", pseudonyms("shop")[0])
    world.ship()
    own = policy("shop")
    own["spec"]["redaction"] = {"pseudonymize": ["Username"]}
    world.have(own)
    status, said, _ = world.erase("-n", "shop", "--yes")
    assert status == 1
    assert "keys of pseudonyms: there are none, though AuditPolicy shop/own asks for pseudonyms" in said


def test_an_erasure_whose_keys_cannot_be_changed_ends_and_says_so(world, monkeypatch):
    async def full(*_given):
        raise BoardUnavailable("Secret is too long")

    monkeypatch.setattr("audit_operator.cli.erasing._Files.keep_keyring", full)
    world.record("shop", DORA)
    world.ship()
    status, _, errors = world.erase("-n", "shop", "--yes")
    assert status == 1
    assert "keys are kept as they were: Secret is too long" in errors
    assert [(each["phase"], each["keys"]) for each in world.records] == [("Begun", "Renewed"), ("Ended", "Kept")]


def test_a_keyring_that_no_secret_could_hold_is_kept_before_anything_is_deleted(world, monkeypatch):
    monkeypatch.setattr("audit_operator.cli.erase.MOST_BYTES", 100)
    world.record("shop", DORA)
    world.ship()
    status, _, errors = world.erase("-n", "shop", "--yes")
    assert status == 1
    assert "no Secret could hold them" in errors
    assert [each["keys"] for each in world.records] == ["Kept", "Kept"]


def test_a_store_that_does_not_delete_and_one_that_cannot_are_said(tmp_path, capsys):
    with victoria_logs(tmp_path, "-retentionPeriod=400d") as url:
        world = World(tmp_path, url, capsys)
        world.record("shop", DORA)
        world.ship()
        cold = {"type": "S3", "s3": {"bucket": "cold", "region": "eu-1"}}
        world.have(policy("shop"), thing("ClusterAuditSink", "cold", cold))
        status, said, _ = world.erase("-n", "shop", "--yes")
        assert status == 1
        assert "ClusterAuditSink central: it does not delete single records: start VictoriaLogs with -delete" in said
        assert "ClusterAuditSink cold: a store of type S3 is not searched" in said
        assert "shop: 1 records, 0 erased" in said
        assert count(url, "namespace:=shop") == 1
        status, _, errors = world.erase("-n", "shop", "--destroy-keys", "--yes")
        ended = sorted(each["keys"] for each in world.records if each["phase"] == "Ended")
        assert (status, ended) == (1, ["Kept", "Renewed"])
        assert "nobody would find again what is left" in errors
        assert world.ring.kept("shop")[:2] == RING.kept("shop")


def test_what_was_erased_by_right_is_no_attack_to_verification_and_what_else_is_gone_is(tmp_path, commands):
    """Of each stream, the first record goes as well, of which VictoriaLogs leaves a row with a time."""
    with victoria_logs(tmp_path, "-retentionPeriod=30d", "-delete.enable") as url:
        plane = thing(
            "AuditControlPlane", "prod", {"default": True, "driver": "Observe", "observe": {"provider": "EKS"}}
        )
        commands.of(victoria_logs_sink(url), plane)
        write_records(
            url, [record(number, **({"username": DORA} if number % 10 < 3 else {})) for number in range(RECORDS)]
        )
        assert commands.seal("--new-chain", *SINCE).status == 0
        key, keyring = tmp_path / "erase.pem", tmp_path / "keyring.json.gz"
        assert main(["seal", "--new-key", str(key)]) == 0
        keyring.write_bytes(RING.encoded())
        places = [
            "--keyring",
            str(keyring),
            "--register",
            str(tmp_path / "register"),
            "-f",
            str(tmp_path / "sinks.yaml"),
        ]
        signed = ["--sign-key", str(key), "--warrants", str(tmp_path / "warrants")]
        assert main(["erase", "--subject", DORA, "--all", "--yes", *places, *signed]) == 0

        unexplained = commands.verify()
        assert {each["id"] for each in unexplained.findings} >= {"record-removed"}
        delete(url, "id-13")
        known = ["--erasures", str(tmp_path / "warrants"), "--erasure-key", f"{key}.pub"]
        verified = commands.verify(*known)
        assert found(verified) == {("record-removed", "id-13"): 1, ("records-erased", None): 4}
        erased = sum(each["records"] for each in verified.findings if each["id"] == "records-erased")
        assert erased == RECORDS * 3 // 10
        assert commands.verify(
            "--erasures", str(tmp_path / "warrants"), "--erasure-key", f"{tmp_path}/seal.pem.pub"
        ).status
