"""What is kept of an object, and what stays in force."""

from __future__ import annotations

from audit_operator.api.findings import ObjectRef
from audit_operator.cluster.facts import Fact
from audit_operator.cluster.resources import AUDIT_CONTROL_PLANE, AUDIT_POLICY, CLUSTER_AUDIT_SINK, INPUT, NAMESPACE
from audit_operator.controller import content
from audit_operator.controller.content import decode, said_of_permissions
from audit_operator.plan.retention import store_of
from audit_operator.retention.folders import Layout


def document(generation=1, uid="u", **spec):
    metadata = {"name": "pci", "namespace": "payments", "uid": uid, "generation": generation, "resourceVersion": "1"}
    return {"metadata": {**metadata, "managedFields": [{}]}, "spec": spec or {"preset": "Metadata"}, "status": {"x": 1}}


def test_a_change_of_status_costs_no_parsing():
    known = decode(AUDIT_POLICY, document(), None)
    assert decode(AUDIT_POLICY, document(), known) is known


def test_a_change_of_spec_is_read():
    known = decode(AUDIT_POLICY, document(), None)
    assert decode(AUDIT_POLICY, document(2, preset="Baseline"), known).model.spec.preset == "Baseline"


def test_a_broken_edit_keeps_the_last_accepted_version_in_force_and_says_so():
    known = decode(AUDIT_POLICY, document(), None)
    broken = decode(AUDIT_POLICY, document(2, preset="Nonsense"), known)
    assert broken.model is known.model
    assert broken.findings


def test_a_defect_of_the_parser_concerns_one_object_alone_and_keeps_its_last_version(monkeypatch):
    known = decode(AUDIT_POLICY, document(), None)
    monkeypatch.setattr(content, "parse_object", lambda _: {}["defect"])
    broken = decode(AUDIT_POLICY, document(2), known)
    assert broken.model is known.model
    assert [each.id for each in broken.findings] == ["operator-defect"]


def test_another_object_of_the_same_name_inherits_nothing():
    known = decode(AUDIT_POLICY, document(), None)
    assert decode(AUDIT_POLICY, document(1, "other", preset="Nonsense"), known).model is None


def test_what_a_status_said_of_permissions_is_remembered_as_far_as_it_can_be_read():
    def plane(permissions):
        metadata = {"name": "main", "uid": "u", "generation": 1, "resourceVersion": "1"}
        spec = {"driver": "Process"}
        document = {"metadata": metadata, "spec": spec, "status": {"permissions": permissions}}
        ref = ObjectRef("AuditControlPlane", "main")
        return Fact(ref, "u", 1, 1, decode(AUDIT_CONTROL_PLANE, document, None))

    said = {"readers": {"subjects": 2, "unexpected": 1}, "more": 0}
    assert said_of_permissions([plane(said)])["main"].readers.unexpected == 1
    assert said_of_permissions([plane({"readers": "many"})]) == {}
    assert said_of_permissions([plane(None)]) == {}


def test_namespaces_and_input_config_maps_are_reduced_and_recognised_again():
    namespace = {"metadata": {"name": "web", "labels": {"tier": "prod"}, "resourceVersion": "1"}}
    known = decode(NAMESPACE, namespace, None)
    assert (known.name, dict(known.labels)) == ("web", {"tier": "prod"})
    assert decode(NAMESPACE, namespace, known) is known
    texts = {"metadata": {"name": "ours", "namespace": "audit"}, "data": {"catalogue.yaml": "actions: []"}}
    known = decode(INPUT, texts, None)
    assert known.data == {"catalogue.yaml": "actions: []"}
    assert decode(INPUT, texts, known) is known
    assert decode(INPUT, {"metadata": texts["metadata"]}, known).data == {}


def bucket(generation=1, status=None, **more):
    spec = {
        "type": "S3",
        "s3": {"bucket": "audit"},
        "credentials": {"type": "AccessKey", "secretRef": {"namespace": "audit", "name": "keys"}},
        **more,
    }
    metadata = {"name": "central", "uid": "u", "generation": generation, "resourceVersion": "1"}
    return {"metadata": metadata, "spec": spec, "status": {"retention": status or {}}}


FOLDER = {"name": "cluster=main/class=max30d", "members": [{"namespaces": ["web", ""]}]}


def test_where_shippers_write_is_what_the_status_of_the_sink_remembers_and_nothing_else():
    known = decode(CLUSTER_AUDIT_SINK, bucket(), None)
    assert known.layout == Layout()
    said = {"store": store_of(known.model), "folders": [FOLDER]}
    seen = decode(CLUSTER_AUDIT_SINK, bucket(status=said), known)
    assert seen.model is known.model
    assert seen.layout.folder("main", "web") == seen.layout.folder("main", "") == "cluster=main/class=max30d"
    assert seen.layout.folder("main", "shop") == seen.layout.folder("other", "web") == ""
    assert decode(CLUSTER_AUDIT_SINK, bucket(status=said), seen) is seen
    of_another_store = {**said, "store": "S3 bucket=old"}
    assert decode(CLUSTER_AUDIT_SINK, bucket(status=of_another_store), seen).layout == Layout()
    assert decode(CLUSTER_AUDIT_SINK, bucket(2, said, retentionEnforcement="Report"), seen).layout is None
