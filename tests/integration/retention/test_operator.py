"""The operator, a real API server and a real VictoriaLogs: what policies ask is what is there, and what status says."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from audit_operator.controller.retention_memory import moment
from audit_operator.plan.retention import store_of
from audit_operator.retention.change import GRACE
from tests.integration.operator_process import (
    API_VERSION,
    GROUP,
    MAIN,
    eventually,
    thing,
)
from tests.integration.shipping.test_retention import count, insert
from tests.integration.shipping.victoria_logs import victoria_logs
from tests.plan.objects import parsed

SINK = ("clusterauditsinks", "central")
REFS = [{"kind": "ClusterAuditSink", "name": "central"}]
WEEK_AGO = datetime.now(UTC) - GRACE - timedelta(hours=1)
FLAGS = ("-retentionPeriod=400d", "-delete.enable")


def policy(namespace, **retention):
    spec = {"rules": [{"level": "Metadata"}], "sinkRefs": REFS, "retention": retention}
    return thing("AuditPolicy", "own", spec, namespace)


def sink(url, enforcement="Enforce"):
    spec = {"type": "VictoriaLogs", "victoriaLogs": {"url": url}, "retentionEnforcement": enforcement}
    return thing("ClusterAuditSink", "central", spec)


def as_a_week_ago(control_plane, spec, namespace, demanded):
    """What the operator would have said of a namespace a week ago: a deletion that it announced then is due."""
    told = {"namespaces": [namespace], "since": moment(WEEK_AGO)}
    told["announced"] = {"deleteAfter": demanded, "since": told["since"], "due": moment(WEEK_AGO + GRACE)}
    said = {"class": f"max{demanded}", "desired": f"at most {demanded}", "state": "Pending", "told": [told]}
    store = store_of(parsed("ClusterAuditSink", "central", spec))
    answer = control_plane.request(
        "PATCH",
        f"{GROUP}/{'/'.join(SINK)}/status?fieldManager=audit-operator&force=true",
        {
            "apiVersion": API_VERSION,
            "kind": "ClusterAuditSink",
            "metadata": {"name": "central"},
            "status": {"retention": {"store": store, "classes": [said]}},
        },
        headers={"Content-Type": "application/apply-patch+yaml"},
    )
    assert answer.status == HTTPStatus.OK, answer.body


class Watched:
    """What the operator says of the policy of a namespace, and what the store has."""

    def __init__(self, operator, url):
        self.operator, self.url = operator, url

    def line(self, namespace):
        lines = self.operator.status("auditpolicies", "own", namespace).get("retention", [{}])
        return lines[0] | {"condition": self.operator.condition("RetentionEnforced", "auditpolicies", "own", namespace)}

    def until(self, namespace, state, reason=""):
        def reached():
            line = self.line(namespace)
            return line if line.get("state") == state and reason in line.get("reason", "") else None

        return eventually(reached, f"{state} in {namespace}: {reason}")

    def put(self, *objects):
        """The API server restarts for the first policy, and for others that change what is recorded."""
        eventually(lambda: self.operator.control_plane.apply(*objects) or True, "the objects to be there")

    def classes(self):
        """What stands in the status of the sink, which need not be written when those of policies are."""
        return self.operator.status(*SINK).get("retention", {}).get("classes", [])

    def announced(self, name):
        """What the sink's status tells of a class, which may be written after the policy's."""
        return eventually(
            lambda: next(
                (
                    each["told"]
                    for each in self.classes()
                    if each["class"] == name and any("announced" in told for told in each.get("told", []))
                ),
                None,
            ),
            f"the announcement of {name}",
        )

    def records(self, namespace):
        return count(self.url, f"cluster:=main namespace:={namespace}")

    def until_there_are(self, namespace, number):
        eventually(lambda: self.records(namespace) == number, f"{number} records of {namespace}")


def test_records_live_as_long_as_policies_say_and_status_says_how_long(operator, tmp_path):
    with victoria_logs(tmp_path, *FLAGS) as url:
        port = int(url.rsplit(":", 1)[1])
        seen = Watched(operator, url)
        insert(url, "payments", [100] * 30 + [20] * 20 + [1] * 10)
        insert(url, "web", [100] * 7 + [1] * 3)
        insert(url, "payments", [100] * 5, cluster="another")
        seen.until_there_are("payments", 60)
        operator.control_plane.apply(
            MAIN,
            sink(url),
            policy("payments", maximum="30d", confirmDeletion="30d"),
            policy("web", minimum="90d", maximum="200d"),
        )
        as_a_week_ago(operator.control_plane, sink(url)["spec"], "payments", "30d")
        operator.start(retention_seconds="1")
        line = seen.until("payments", "Enforced")
        assert (line["condition"], line["class"]) == (("True", "Enforced"), "max30d")
        assert line["effective"] == "deletes after 400d"
        assert line["oldest"] < line["lastVerified"]
        assert seen.records("payments") == 30
        # What deletes nothing yet is announced all the same: nobody has confirmed it.
        line = seen.until("web", "Pending", "records older than 200d are deleted from")
        told = seen.announced(line["class"])
        assert told[0]["namespaces"] == ["web"]
        assert told[0]["announced"]["deleteAfter"] == "200d"

        seen.put(policy("payments", maximum="10d", confirmDeletion="10d"))
        seen.until_there_are("payments", 10)
        assert seen.until("payments", "Enforced")["class"] == "max10d"

        seen.put(policy("payments", maximum="10d", confirmDeletion="10d", legalHold=True))
        seen.until("payments", "Partial", "a legal hold is demanded, and the store deletes after 400d")
        insert(url, "payments", [50] * 8)
        seen.until_there_are("payments", 18)
        seen.put(policy("payments", maximum="10d", confirmDeletion="10d"))
        line = seen.until("payments", "Pending", "records older than 10d are deleted from")
        assert seen.records("payments") == 18

        seen.announced(line["class"])
        announced = seen.classes()
        operator.stop_all()
        operator.start(retention_seconds="1")
        time.sleep(5)
        eventually(lambda: seen.classes() == announced, "the announcements to be as they were")

        operator.control_plane.kubectl("delete", "auditpolicies", "own", "-n", "web")
        eventually(lambda: len(seen.classes()) == 1, "one class")
        assert (seen.records("web"), count(url, "cluster:=another")) == (10, 5)

    eventually(lambda: seen.line("payments")["condition"] == ("Unknown", "SinkUnreachable"), "the store to be missed")
    line = seen.line("payments")
    assert (line["state"], line["reason"].split(":")[0]) == ("Pending", "SinkUnreachable")

    with victoria_logs(tmp_path, "-retentionPeriod=5d", port=port):
        seen.put(policy("payments", maximum="10d", minimum="9d"))
        seen.until("payments", "Partial", "9d are demanded at the least, and the store deletes after 5d")
    with victoria_logs(tmp_path, *FLAGS, port=port):
        seen.until("payments", "Pending", "")
    with victoria_logs(tmp_path, "-retentionPeriod=5d", port=port):
        assert seen.until("payments", "Drifted", "its settings were changed")["condition"] == ("False", "Drifted")


def test_a_hold_that_the_store_never_saw_gives_its_week_also_where_the_operator_dies_in_it(operator, tmp_path):
    with victoria_logs(tmp_path, *FLAGS) as url:
        port = int(url.rsplit(":", 1)[1])
        seen = Watched(operator, url)
        insert(url, "payments", [20] * 5)
        seen.until_there_are("payments", 5)
        operator.control_plane.apply(MAIN, sink(url), policy("payments", maximum="30d"))
        as_a_week_ago(operator.control_plane, sink(url)["spec"], "payments", "30d")
        process = operator.start(retention_seconds="1")
        seen.until("payments", "Enforced")
        eventually(lambda: deleted_by_order(seen) == ["payments"], "the order to be remembered")

    seen.put(policy("payments", maximum="30d", legalHold=True))
    eventually(lambda: not deleted_by_order(seen), "the hold to be remembered without the store")
    process.kill()
    process.wait(60)
    seen.put(policy("payments", maximum="30d"))
    with victoria_logs(tmp_path, *FLAGS, port=port):
        insert(url, "payments", [50] * 8)
        seen.until_there_are("payments", 13)
        operator.start(retention_seconds="1")
        seen.until("payments", "Pending", "records older than 30d are deleted from")
        assert seen.records("payments") == 13


def deleted_by_order(seen):
    told = [group for each in seen.classes() for group in each.get("told", ()) if "deleteAfter" in group]
    return [name for group in told for name in group["namespaces"]]
