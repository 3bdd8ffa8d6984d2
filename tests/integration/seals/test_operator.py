"""The operator, a real API server, a real VictoriaLogs and a real bucket: what becomes of seals stands in status."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from audit_operator.api.sink import ClusterAuditSinkSpec
from audit_operator.cli import main
from audit_operator.integrity.interval import Interval, moment
from audit_operator.integrity.keys import SigningKey
from audit_operator.integrity.seal import digest
from audit_operator.integrity.warrant import of_leaves
from audit_operator.sinks import Access, open_store
from audit_operator.sinks.scanning import Stream
from audit_operator.sinks.seal_opening import scanner_of
from tests.integration.conftest import prepare_for_operator
from tests.integration.control_plane import ClusterUser
from tests.integration.operator_process import NAMESPACE, USER, OperatorProcess, eventually
from tests.integration.reading.records import write
from tests.integration.shipping.seaweedfs import KEY, KEY_ID, seaweedfs
from tests.integration.shipping.test_sealing import ALL, HOUR, SEALS, START, delete, s3_sink, victoria_logs_sink
from tests.integration.shipping.victoria_logs import victoria_logs

SINK = ("clusterauditsinks", "central")
FOLDER = "prod/seals/sink=ClusterAuditSink/central"


@pytest.fixture
def operator(private_control_plane):
    control_plane = private_control_plane(users=(ClusterUser(USER),))
    prepare_for_operator(control_plane)
    operator = OperatorProcess(control_plane)
    yield operator
    operator.stop_all()


class Chain:
    """The commands, on files of their own, as the chart's jobs run them."""

    def __init__(self, folder, *sinks):
        self.folder = folder
        data = {"accessKeyID": KEY_ID, "secretAccessKey": KEY}
        self.secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"namespace": NAMESPACE, "name": "keys"},
            "data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()},
        }
        (folder / "sinks.yaml").write_text(yaml.safe_dump_all([*sinks, self.secret]))
        for name in ("seal", "verify", "erase"):
            assert main(["seal", "--new-key", str(folder / f"{name}.pem")]) == 0

    def _run(self, command, *options):
        place = ("--seals-sink", "worm", "-f", str(self.folder / "sinks.yaml"))
        return main([command, "central", *place, *options])

    def seal(self, until, *options):
        """Seal the hours that are over then."""
        lateness = f"{(datetime.now(UTC) - until) // timedelta(minutes=1)}m"
        assert self._run("seal", "--key", str(self.folder / "seal.pem"), "--lateness", lateness, *options) == 0

    def verify(self, *options):
        """Verify and report; the exit status."""
        keys = ("--public-key", str(self.folder / "seal.pem.pub"), "--report-key", str(self.folder / "verify.pem"))
        erasers = ("--erasure-key", str(self.folder / "erase.pem.pub"))
        return self._run("verify", *keys, *erasers, "--since", "10d", *options)

    def warrant(self, url, audit_id):
        """As `erase --sign-key` writes it before it deletes."""
        leaves = asyncio.run(_leaves(url, audit_id))
        made = of_leaves("20261128-1", moment(datetime.now(UTC)), "ClusterAuditSink/central", leaves)
        (self.folder / "warrants").mkdir()
        signed = SigningKey.read((self.folder / "erase.pem").read_bytes()).sign(made)
        (self.folder / "warrants" / "one.json").write_bytes(signed.encode())

    def public(self, name):
        return (self.folder / f"{name}.pem.pub").read_text()


async def _leaves(url, audit_id):
    store = open_store(ClusterAuditSinkSpec.model_validate(victoria_logs_sink(url)["spec"], strict=False), Access())
    batches = scanner_of(store).scan(Interval(START, START + 4 * HOUR), Stream())
    records = [record async for batch in batches for record in batch.records]
    return [each.leaf() for each in records if each.attributes["auditID"] == audit_id]


class Watched:
    """What the operator says of the seals of a sink."""

    def __init__(self, operator, chain, url):
        self.operator, self.chain, self.url = operator, chain, url

    def put(self, **more):
        verification = {"publicKeys": [self.chain.public("verify")], "keptFor": "10d", "everythingWithin": "9d"}
        keys = {"sinkRef": {"name": "worm"}, "publicKeys": [self.chain.public("seal")], "within": "2h"}
        sink = victoria_logs_sink(self.url)
        seals = {**keys, "verification": verification, **more}
        self.operator.control_plane.apply({**sink, "spec": {**sink["spec"], "seals": seals}})

    def until(self, status, reason, **more):
        def reached():
            said = self.operator.status(*SINK)
            seals = said.get("seals", {})
            found = [each["id"] for each in seals.get("findings", []) if each["severity"] == "Error"]
            facts = {"last": seals.get("last", {}).get("sequence"), "report": seals.get("verified", {}).get("sequence")}
            is_so = self.operator.condition("Sealed", *SINK) == (status, reason)
            return said if is_so and {**facts, "found": found, **more} == {**facts, "found": found} else None

        return eventually(reached, f"Sealed to be {status}, {reason}, and {more}")


def test_what_becomes_of_seals_and_records_stands_in_the_status_of_their_sink(operator, tmp_path):
    with victoria_logs(tmp_path, "-retentionPeriod=30d", "-delete.enable") as url:
        with seaweedfs(tmp_path / "weed") as s3:
            s3.client.make_bucket(SEALS)
            worm = s3_sink("worm", s3.url, SEALS)
            worm["spec"]["credentials"]["secretRef"]["namespace"] = NAMESPACE
            chain = Chain(tmp_path, victoria_logs_sink(url), worm)
            operator.control_plane.apply(chain.secret, worm)
            seen = Watched(operator, chain, url)
            seen.put()
            write(url, ALL)
            operator.start(seal_seconds="1")
            seen.until("False", "SealMissing", last=None, found=["seal-missing"])

            chain.seal(START + 2 * HOUR, "--new-chain", "--since", START.isoformat())
            said = seen.until("False", "SealMissing", last=2, found=["seal-missing"])
            assert said["seals"]["findings"][0]["since"] == f"{START + 2 * HOUR:%Y-%m-%dT%H:%M:%SZ}"
            chain.seal(START + 4 * HOUR)
            said = seen.until("True", "Sealed", last=4, found=[])
            [sealed] = [each["message"] for each in said["conditions"] if each["type"] == "Sealed"]
            assert "the archive keeps no versions" in sealed
            assert chain.verify() == 0
            seen.until("True", "Sealed", report=1, found=[])

            delete(url, "id-70")
            assert chain.verify() == 1
            said = seen.until("False", "VerifyFailed", report=2, found=["record-removed"])
            assert said["seals"]["findings"][0]["since"] == f"{START + HOUR:%Y-%m-%dT%H:%M:%SZ}"
            write(url, [ALL[70]])
            assert chain.verify() == 0
            seen.until("True", "Sealed", report=3, found=[])

            # Erased by right; that is said once, and found by whoever verifies later.
            chain.warrant(url, "id-71")
            delete(url, "id-71")
            assert chain.verify() == 1
            seen.until("False", "VerifyFailed", report=4, found=["record-removed"])
            assert chain.verify("--erasures", str(tmp_path / "warrants")) == 0
            assert chain.verify() == 0
            seen.until("True", "Sealed", report=6, found=[])

            # In a bucket that keeps no versions, the sealer would make it again without anything to be seen.
            s3.client.remove_object(SEALS, f"{FOLDER}/000000000004.json")
            seen.until("False", "SealMissing", last=4)
            operator.stop_all()
            chain.seal(START + 4 * HOUR)
            operator.start(seal_seconds="1")
            seen.until("False", "SealReplaced", last=4, found=["seal-replaced"])
            assert chain.verify() == 1
            now = digest(s3.client.get_object(SEALS, f"{FOLDER}/000000000004.json").read())
            assert chain.verify("--accept", now) == 0
            seen.put(accepted=[now])
            said = seen.until("True", "Sealed", report=8, found=[])
            assert said["seals"]["last"]["digest"] == now
        said = seen.until("Unknown", "SinkUnreachable", last=4, report=8)
        assert said["seals"]["last"]["digest"] == now
