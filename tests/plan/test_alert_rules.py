"""Which PrometheusRule objects policies ask for."""

from __future__ import annotations

import re
from dataclasses import replace

from audit_operator.api.findings import ObjectRef
from audit_operator.plan import Snapshot
from audit_operator.plan.alert_rules import AlertSettings, alert_rules, prometheus_rule, rules_name
from tests.plan.objects import audit_policy, cluster_policy, control_plane

EXEC = [{"name": "exec", "preset": "Exec"}]
SETTINGS = AlertSettings("audit-system", "https://r/x", {"release": "p"})


def policies(*found):
    return Snapshot(
        audit_policies=tuple(each for each in found if each.kind == "AuditPolicy"),
        cluster_audit_policies=tuple(each for each in found if each.kind == "ClusterAuditPolicy"),
    )


def test_each_policy_with_detections_has_an_object_where_its_owners_see_it():
    found = alert_rules(
        policies(
            audit_policy("shop", "web", preset="Metadata", detections=EXEC),
            audit_policy("shop", "quiet", preset="Metadata"),
            cluster_policy("base", preset="Metadata", detections=EXEC),
        ),
        SETTINGS,
    )
    assert {str(each.policy): each.namespace for each in found} == {
        "AuditPolicy shop/web": "shop",
        "ClusterAuditPolicy base": "audit-system",
    }


def test_an_object_goes_with_its_policy_and_is_found_by_labels():
    web = audit_policy("shop", "web", preset="Metadata", detections=EXEC)
    web = web.model_copy(update={"metadata": web.metadata.model_copy(update={"uid": "u-1"})})
    [rules] = alert_rules(policies(web), SETTINGS)
    metadata = prometheus_rule(rules, SETTINGS.labels)["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("audit-detections.web", "shop")
    assert metadata["labels"]["release"] == "p"
    [owner] = metadata["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("AuditPolicy", "web", "u-1", True)


def test_what_was_read_from_a_file_has_no_owner():
    [rules] = alert_rules(policies(cluster_policy("base", preset="Metadata", detections=EXEC)), AlertSettings())
    assert prometheus_rule(rules, {})["metadata"].keys() == {"name", "labels"}


def test_settings_cannot_take_away_the_label_by_which_ours_are_known():
    [rules] = alert_rules(policies(cluster_policy("base", preset="Metadata", detections=EXEC)), SETTINGS)
    labels = prometheus_rule(rules, {"app.kubernetes.io/component": "x"})["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "audit-detections"


def test_alerts_are_about_events_of_the_policys_own_control_plane():
    facts = policies(
        cluster_policy("base", preset="Metadata", detections=EXEC),
        cluster_policy("edge", preset="Metadata", detections=EXEC, controlPlaneRef={"name": "edge"}),
        cluster_policy("lost", preset="Metadata", detections=EXEC, controlPlaneRef={"name": "nowhere"}),
    )

    def of(*planes):
        found = alert_rules(replace(facts, control_planes=planes), SETTINGS)
        expressions = {each.policy.name: each.group["rules"][0]["expr"] for each in found}
        return {name: set(re.findall('control_plane="(.*?)"', each)) for name, each in expressions.items()}

    assert of(control_plane("main"), control_plane("edge", default=False)) == {"base": {"main"}, "edge": {"edge"}}
    assert of() == {"base": set(), "edge": {"edge"}, "lost": {"nowhere"}}


def test_no_two_policies_have_objects_of_one_name_in_one_namespace():
    names = ["a", "of-cluster", "of-cluster.a", "x" * 253, "x" * 252 + "y", "x" * 230, "x" * 231]
    refs = [ObjectRef(kind, name, namespace) for name in names for kind, namespace in KINDS]
    found = {rules_name(each) for each in refs}
    assert len(found) == len(refs)
    assert all(len(each) <= 253 for each in found)


KINDS = [("AuditPolicy", "shop"), ("ClusterAuditPolicy", "")]
