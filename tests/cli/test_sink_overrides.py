"""`sinks overrides`: what is printed for the sink of some objects, and what is said where nothing can be."""

from __future__ import annotations

import pytest
import yaml

from audit_operator.cli import main

API = "audit-operator.dev/v1alpha1"


def thing(kind, name, spec, namespace=""):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


PLANE = thing("AuditControlPlane", "main", {"default": True, "driver": "Process"})
SINK = thing("ClusterAuditSink", "central", {"type": "Loki", "loki": {"url": "http://loki:3100"}})
OTHER = thing("ClusterAuditSink", "logs", {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://logs:9428"}})
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "payments"}}
POLICY = thing(
    "AuditPolicy",
    "pci",
    {
        "rules": [{"level": "Metadata"}],
        "sinkRefs": [{"kind": "ClusterAuditSink", "name": "central"}],
        "retention": {"maximum": "30d"},
    },
    "payments",
)


@pytest.fixture
def overrides(tmp_path, capsys):
    def overrides(*objects, sink="central"):
        (tmp_path / "objects.yaml").write_text(yaml.safe_dump_all(objects))
        status = main(["sinks", "overrides", sink, "-f", str(tmp_path / "objects.yaml")])
        said = capsys.readouterr()
        return status, said.out, said.err

    return overrides


def test_what_policies_ask_of_a_loki_is_printed_for_its_tenant(overrides):
    status, said, _ = overrides(PLANE, SINK, NAMESPACE, POLICY)
    assert status == 0
    limits = yaml.safe_load(said)["overrides"]["fake"]
    assert limits["retention_stream"][0] == {
        "selector": '{cluster=~"main", namespace=~"payments"}',
        "priority": 1001,
        "period": "696h",
    }


@pytest.mark.parametrize(
    ("objects", "sink", "says"),
    [
        ((PLANE, SINK, OTHER, POLICY), "logs", "only a Loki has runtime overrides"),
        ((PLANE, SINK), "central", "nothing is demanded of it"),
        ((SINK, NAMESPACE, POLICY), "central", "an AuditControlPlane, must be among the objects"),
        ((PLANE, SINK), "nowhere", "there is no sink nowhere"),
    ],
)
def test_where_there_is_nothing_to_write_it_says_why(overrides, objects, sink, says):
    status, said, error = overrides(*objects, sink=sink)
    assert (status, said) == (2, "")
    assert says in error
