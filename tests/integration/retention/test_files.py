"""The operator beside its collector: files of a sink are deleted when they are due, and only those."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from audit_operator.api.findings import ObjectRef
from audit_operator.controlplane.shipper.collector import FOLDER, files_of
from tests.integration.operator_process import MAIN, eventually, thing
from tests.integration.retention.test_operator import Watched, as_a_week_ago, policy
from tests.integration.shipping.collector import binary

SPEC = {"type": "File", "file": {"claimName": "audit"}}


def add(folder, namespace, ago):
    """A record of so many days ago; its file."""
    time = datetime.now(UTC) - timedelta(days=ago)
    path = folder / namespace / f"{time:%Y-%m-%d}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"@timestamp": time.isoformat(), "event": "{}"}, separators=(",", ":")) + "\n")
    return path


def test_files_live_as_long_as_policies_say_and_the_collector_goes_on_writing_them(operator):
    plane = operator.control_plane
    folder = files_of(plane.plane.folder / FOLDER, ObjectRef("ClusterAuditSink", "central"))
    old, young, foreign = add(folder, "payments", 100), add(folder, "payments", 20), add(folder, "web", 100)
    plane.apply(MAIN, thing("ClusterAuditSink", "central", SPEC), policy("payments", maximum="30d"))
    as_a_week_ago(plane, SPEC, "payments", "30d")
    operator.start(retention_seconds="1", collector=str(binary()))
    seen = Watched(operator, "")
    line = seen.until("payments", "Enforced")
    assert (line["condition"], line["class"]) == (("True", "Enforced"), "max30d")
    assert (old.exists(), young.exists(), foreign.exists()) == (False, True, True)

    def written():
        plane.request("GET", "/api/v1/namespaces/payments/configmaps")
        texts = [each.read_text() for each in (folder / "payments").iterdir() if each != young]
        return any('"resource":"configmaps"' in each for each in texts)

    eventually(written, "an event in a file of its namespace")
