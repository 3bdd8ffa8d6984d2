"""A configuration that loses or changes records is refused before it is used, where `validate` takes it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from audit_operator.cli import main
from audit_operator.controlplane.shipper.canary import FOLDER, Outcome, TrialTimes, try_out
from audit_operator.controlplane.shipper.collector import Collector, places_of
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.collector_files import collector_files
from audit_operator.plan.shipping import shipping
from audit_operator.shipping.canary.events import GONE
from audit_operator.shipping.canary.planted import Canary
from audit_operator.shipping.collector.proving import REDACT
from audit_operator.shipping.collector.yaml_text import parsed as document_of
from audit_operator.shipping.collector.yaml_text import yaml_text
from tests.integration.shipping.collector import binary
from tests.plan.objects import audit_policy, cluster_policy, control_plane, parsed

LOG = "/var/log/kubernetes/audit/audit.log"
TIMES = TrialTimes(most=180.0)
"""A machine that is busy must not look like one that is done."""


def sink(kind, name, namespace="", **spec):
    return parsed(kind, name, spec or {"type": "Loki", "loki": {"url": f"http://{name}:3100"}}, namespace)


def to(kind, name):
    return [{"kind": kind, "name": name}]


EXEC = {
    "name": "exec",
    "selection": {"verbs": ["create"], "resources": [{"group": "", "resources": ["pods/exec"]}]},
    "groupBy": ["User"],
}
OWN = audit_policy(
    rules=[{"level": "Request", "resources": [{"group": "", "resources": ["secrets"]}]}],
    sinkRefs=to("AuditSink", "own"),
    detections=[{**EXEC, "selection": {"fields": [{"path": "requestObject.spec.replicas"}]}}],
)
HIDING = audit_policy(
    "web",
    "hiding",
    rules=[{"level": "RequestResponse"}],
    sinkRefs=to("AuditSink", "files"),
    redaction={"pseudonymize": ["Username", "SourceIPs"], "patterns": [{"name": "all", "regex": "[a-z]{2,8}"}]},
)
EVERYWHERE = cluster_policy(
    rules=[
        {"level": "None", "resources": [{"group": "coordination.k8s.io"}]},
        {"level": "RequestResponse", "resources": [{"group": "rbac.authorization.k8s.io"}]},
        {"level": "Metadata", "omitStages": ["RequestReceived"]},
    ],
    omitManagedFields=True,
    namespaceSelector={"matchLabels": {"audited": "yes"}},
    sinkRefs=to("ClusterAuditSink", "central"),
    detections=[EXEC],
)
SNAPSHOT = Snapshot(
    audit_policies=(OWN, HIDING),
    cluster_audit_policies=(EVERYWHERE,),
    audit_sinks=(
        sink("AuditSink", "own", "payments", type="VictoriaLogs", victoriaLogs={"url": "http://logs:9428"}),
        sink("AuditSink", "files", "web"),
    ),
    cluster_audit_sinks=(sink("ClusterAuditSink", "central", type="S3", s3={"bucket": "audit", "region": "x"}),),
    control_planes=(control_plane(),),
    namespaces=(NamespaceFact("payments", {"audited": "yes"}), NamespaceFact("web"), NamespaceFact("none")),
)


OURS = to("ClusterAuditSink", "central")


def files(snapshot=SNAPSHOT, *, webhook=False):
    planned = shipping(snapshot, plan(snapshot), "main")
    return collector_files(planned, snapshot, "main", places_of(LOG, webhook=webhook), tries=True)


def tried(made, folder):
    trial = try_out(folder, binary(), made, times=TIMES)
    assert not (folder / FOLDER).exists()
    return trial


@pytest.mark.parametrize("webhook", [False, True], ids=["files", "webhook"])
def test_what_is_planned_passes(tmp_path, webhook):
    made = files(webhook=webhook)
    trial = tried(made, tmp_path)
    assert (trial.outcome, trial.said) == (Outcome.PASSED, ())
    canary = Canary.decoded(made.canary)
    assert set(canary.counts.values()) == {2}
    assert canary.pseudonymous == ("web",)
    silent = [each for each in canary.planted if not each.exporters]
    assert any("in namespace payments" in each.name for each in silent)
    assert {each for planted in canary.planted for each in planted.exporters} == set(trial.arrived)
    assert len(trial.arrived) == 3


HOSTILE = {
    "one that Python never ends with": {"name": "a", "regex": "(?:[^!]|[^!])*!"},
    "one that puts back what is looked for": {"name": "a", "regex": "Canary", "replacement": GONE[0]},
    "one with a character that ends lines for some": {"name": "a", "regex": "[a-z]", "replacement": "a\u0085b"},
    "one that makes numbers that Python does not read": {"name": "a", "regex": ":2", "replacement": ":02"},
}


def test_no_pattern_of_a_tenant_keeps_a_configuration_back_or_untried(tmp_path):
    policies = tuple(
        audit_policy(
            f"n{number}", rules=[{"level": "RequestResponse"}], redaction={"patterns": [pattern]}, sinkRefs=OURS
        )
        for number, pattern in enumerate(HOSTILE.values())
    )
    counting = {**EXEC, "selection": {"fields": [{"path": "requestObject.spec.replicas"}]}}
    world = replace(
        SNAPSHOT,
        audit_policies=policies,
        cluster_audit_policies=(cluster_policy(rules=[{"level": "RequestResponse"}], detections=[counting]),),
        namespaces=tuple(NamespaceFact(each.metadata.namespace) for each in policies),
    )
    made = files(world)
    trial = tried(made, tmp_path)
    assert (trial.outcome, trial.said) == (Outcome.PASSED, ())
    assert all(f"in namespace {each.name}" in made.canary for each in world.namespaces)


def replaced(old, new, *where):
    """The configuration with some text in the place of another, in one part of it."""

    def breaks(document):
        *parents, last = where
        holder = document
        for each in parents:
            holder = holder[each]
        text = json.dumps(holder[last])
        assert old in text, text
        holder[last] = json.loads(text.replace(old, new))

    return breaks


def without(name, *where):
    def breaks(document):
        holder = document
        for each in where:
            holder = holder[each]
        holder.remove(name)

    return breaks


def empty(*where):
    def breaks(document):
        holder = document
        for each in where:
            holder = holder[each]
        holder.clear()

    return breaks


READ = "service", "pipelines", "logs/read", "processors"
WAYS = "service", "pipelines"
ENDS_AT = '"exporters": ["otlp_http/auditsink.{}"'
FAULTS = {
    "wrong field in a path": (replaced("objectRef", "objctRef", "processors", "transform/read"), "is missing"),
    "undefined storage": (replaced("file_storage/queues", "file_storage/none", "exporters"), "the collector ends"),
    "storage not listed": (without("file_storage/offsets", "service", "extensions"), "the collector ends"),
    "include that matches nothing": (replaced(".log", ".lgo", "receivers", "file_log", "include"), "did not arrive"),
    "rotated files left out": (replaced("-*", "-~", "receivers", "file_log", "include"), "did not arrive"),
    "lines of one byte": (replaced("16MiB", "1", "receivers", "file_log", "max_log_size"), "did not arrive"),
    "wrong layout of time": (replaced("%Y-%m-%dT", "%Y-%d-%mT", "processors", "transform/write"), "its time is"),
    "port used twice": (replaced("DETECTIONS:-127.0.0.1:0", "HEALTH", "exporters"), "address already in use"),
    "variable that is not set": (replaced("COLLECTOR_FOLDER", "COLLECTOR_FLODER", "processors", "lookup"), ""),
    "table that is missing": (replaced("table-", "tabel-", "processors", "lookup"), ""),
    "wrong field in a condition": (replaced("verb", "vreb", "processors", "transform/detect"), "counted 0 of 2"),
    "nothing salvaged": (replaced("requestObject|responseObject", "requestObjct", "processors", "transform/read"), ""),
    "nothing dropped": (without("filter/levels", *READ), "where it does not belong"),
    "redaction left out": (without(REDACT, *READ), "did not arrive"),
    "nothing taken out": (empty("processors", REDACT, "steps"), "a value is still in it"),
    "no keys of pseudonyms": (without("lookup/pseudonyms", *READ), "its field user"),
    "salvaged as something else": (
        replaced('\\"bodies\\"', '\\"bodie\\"', "processors", "transform/read"),
        "its attribute unreadable",
    ),
    "unreadable lines not counted": (
        replaced('[\\"unreadable\\"]', '[\\"unred\\"]', "connectors", "routing"),
        "unreadable lines: counted",
    ),
    "no level enforced": (without("transform/levels", *READ), "its attribute level"),
    "route to somebody else": (replaced(ENDS_AT.format("payments.own"), ENDS_AT.format("web.files"), *WAYS), ""),
}


def broken(made, *faults):
    document = document_of(made.config)
    for each in faults:
        each(document)
    return replace(made, config=yaml_text(document))


def test_validate_takes_all_that_is_broken(tmp_path):
    everything = broken(files(), *(breaks for breaks, _ in FAULTS.values()))
    assert Collector(tmp_path).refusal(binary(), everything.config) == ""


@pytest.mark.parametrize("fault", FAULTS)
def test_the_canary_refuses_what_is_broken(tmp_path, fault):
    breaks, said = FAULTS[fault]
    trial = tried(broken(files(), breaks), tmp_path)
    assert trial.outcome is Outcome.FAILED
    assert said in "; ".join(trial.said)


OBJECTS = """
apiVersion: v1
kind: Namespace
metadata: {name: payments}
---
apiVersion: audit-operator.dev/v1alpha1
kind: ClusterAuditPolicy
metadata: {name: baseline}
spec:
  rules: [{level: None, resources: [{group: "", resources: [secrets]}]}, {level: Metadata}]
  detections: [{name: binding, preset: ClusterAdminBinding}]
  sinkRefs: [{kind: ClusterAuditSink, name: central}]
---
apiVersion: audit-operator.dev/v1alpha1
kind: ClusterAuditSink
metadata: {name: central}
spec: {type: VictoriaLogs, victoriaLogs: {url: "http://logs.audit:9428"}}
"""


def test_what_is_rendered_for_somebody_else_is_tried_where_it_is_rendered(tmp_path, capsys):
    (tmp_path / "objects.yaml").write_text(OBJECTS)
    options = ["-f", str(tmp_path / "objects.yaml"), "--output", str(tmp_path / "out"), "--try", str(binary())]
    assert main(["shipper", "render", *options]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "a Secret that is created in namespace payments: nowhere" in said
    exec_ = "otlp_http/clusterauditsink.central (level Metadata, username jane@example.com)"
    assert f"a refused exec in namespace payments: {exec_}" in said
    assert said[-1] == "All lines became what they must."
