"""The operator asks the stores of sinks that policies ship to, and says in status what it was told: once."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.shipping.exporters import authorization
from audit_operator.sinks import Access, Record, open_store
from tests.integration.conftest import prepare_for_operator
from tests.integration.control_plane import ClusterUser
from tests.integration.operator_process import MAIN, USER, OperatorProcess, eventually, thing
from tests.integration.shipping.victoria_logs import victoria_logs
from tests.plan.objects import parsed


@pytest.fixture
def operator(private_control_plane):
    control_plane = private_control_plane(users=(ClusterUser(USER),))
    prepare_for_operator(control_plane, "payments", "vault")
    operator = OperatorProcess(control_plane)
    yield operator
    operator.stop_all()


def shipping(operator, kind, name, namespace=""):
    """The message and the reason of the condition."""
    conditions = operator.status(kind, name, namespace).get("conditions", [])
    return next(((each["message"], each["reason"]) for each in conditions if each["type"] == "Shipping"), ("", ""))


def test_what_a_store_says_stands_in_status_and_the_same_is_not_written_twice(operator, tmp_path):
    arguments = ("-retentionPeriod=30d", "-httpAuth.username=audit", "-httpAuth.password=right")
    with victoria_logs(tmp_path, *arguments) as url:
        store = {"type": "VictoriaLogs", "victoriaLogs": {"url": url}}
        secret = {"namespace": "vault", "name": "token"}
        spec = {**store, "credentials": {"type": "Basic", "secretRef": secret}}
        refs = [{"kind": "ClusterAuditSink", "name": "central"}]
        operator.control_plane.apply(
            MAIN,
            thing("ClusterAuditSink", "central", spec),
            thing("AuditPolicy", "pci", {"rules": [{"level": "Metadata"}], "sinkRefs": refs}, "payments"),
        )
        operator.start(sink_check_seconds="1")
        policy = ("auditpolicies", "pci", "payments")
        unreadable = "asked by the operator: the Secrets of this sink cannot be used"
        eventually(lambda: unreadable in shipping(operator, *policy)[0], "the missing Secret to be said")
        assert "vault" not in json.dumps(operator.status(*policy))

        literals = ("--from-literal=username=audit", "--from-literal=password=right")
        operator.control_plane.kubectl("create", "secret", "generic", "token", "-n", "vault", *literals)
        eventually(lambda: "asked by" not in shipping(operator, *policy)[0], "the store to be asked with the Secret")

        audit_id, before = str(uuid.uuid4()), datetime.now(UTC) - timedelta(days=60)
        header = authorization(
            parsed("ClusterAuditSink", "central", spec).spec.credentials.type,
            {"username": b"audit", "password": b"right"},
        )
        writing = open_store(parsed("ClusterAuditSink", "central", store).spec, Access(str(header)))
        asyncio.run(writing.write(Record(audit_id, "ResponseComplete", before, json.dumps({"auditID": audit_id}))))
        for where in (policy, ("clusterauditsinks", "central")):
            eventually(lambda at=where: shipping(operator, *at)[1] == "Lossy", "the loss to be said")
            assert "raise its -retentionPeriod" in shipping(operator, *where)[0]
        [line] = operator.status(*policy)["shipping"]
        assert (line["sink"]["name"], line["state"]) == ("central", "Failing")

        time.sleep(3)
        since = operator.control_plane.audit_position()
        time.sleep(10)  # ten more questions and answers
        assert list(operator.writes(since)) == []
        reads = [
            each["verb"]
            for each in operator.control_plane.audit_events()
            if each["user"].get("username") == USER and each.get("objectRef", {}).get("resource") == "secrets"
        ]
        assert set(reads) <= {"get"}
