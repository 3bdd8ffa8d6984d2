"""What the chart allows whom: exactly this, and it is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.permissions.rbac import NOTHING
from audit_operator.proof.bodies import WRITTEN
from tests.chart.helm import EVERYTHING, NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.chart.helm import Helm

OWN = ["auditcontrolplanes", "auditpolicies", "auditsinks", "clusterauditpolicies", "clusterauditsinks"]
OPERATOR = {
    ("ClusterRole", "*"): {
        *(f"{verb} audit-operator.dev/{kind}" for kind in OWN for verb in ("get", "list", "watch")),
        *(f"patch audit-operator.dev/{kind}/status" for kind in OWN),
        "list namespaces",
        "watch namespaces",
        "list configmaps",
        "watch configmaps",
        "list apiextensions.k8s.io/customresourcedefinitions",
        "watch apiextensions.k8s.io/customresourcedefinitions",
        "create events.k8s.io/events",
        *(
            f"list rbac.authorization.k8s.io/{kind}"
            for kind in ("clusterrolebindings", "clusterroles", "rolebindings", "roles")
        ),
    },
    ("Role", NAMESPACE): {
        "create coordination.k8s.io/leases",
        "get coordination.k8s.io/leases audit-operator",
        "update coordination.k8s.io/leases audit-operator",
    },
}
WITH_AGENTS = {
    ("ClusterRole", "*"): OPERATOR["ClusterRole", "*"] | {"list nodes"},
    ("Role", NAMESPACE): OPERATOR["Role", NAMESPACE]
    | {"list coordination.k8s.io/leases", "create configmaps", "patch configmaps", "delete configmaps"},
}
AGENT = {
    ("Role", NAMESPACE): {
        "get configmaps",
        "list configmaps",
        *(f"{verb} coordination.k8s.io/leases" for verb in ("get", "list", "create", "update", "patch")),
    }
}
SHIPPING = {
    ("ClusterRole", "*"): {"list nodes"},
    ("Role", NAMESPACE): {
        "get secrets",
        "create secrets",
        "patch secrets audit-shipper-cluster",
        "patch secrets audit-pseudonyms-cluster",
        "list coordination.k8s.io/leases",
    },
}
"""What shippers add to the operator's rights."""
SHIPPER = {
    ("Role", NAMESPACE): {
        "get secrets audit-shipper-cluster",
        *(f"{verb} coordination.k8s.io/leases" for verb in ("create", "patch")),
    }
}
SIDECARS = {
    ("ClusterRole", "*"): {"list pods", "watch pods", "create configmaps", "patch configmaps", "delete configmaps"}
}
"""What sidecars add to the operator's rights."""
SIDECAR_SECRETS = {f"{verb} secrets" for verb in ("get", "create", "patch", "delete")}
WEBHOOK = {
    ("ClusterRole", "*"): {
        f"{verb} admissionregistration.k8s.io/mutatingwebhookconfigurations audit-operator-webhook"
        for verb in ("get", "patch")
    },
    ("Role", NAMESPACE): {
        "create secrets",
        "get secrets audit-operator-webhook",
        "patch secrets audit-operator-webhook",
    },
}
RESTARTS = {
    *(f"{verb} apps/{kind}" for kind in ("deployments", "statefulsets", "daemonsets") for verb in ("get", "patch")),
    "get apps/replicasets",
    "list policy/poddisruptionbudgets",
}
ALERTS = {
    ("ClusterRole", "*"): {
        f"{verb} monitoring.coreos.com/prometheusrules" for verb in ("list", "create", "patch", "delete")
    }
}
REPORTS = {
    ("ClusterRole", "*"): {
        *(
            f"{verb} {kind}{name}"
            for kind in (
                "openreports.io/reports",
                "openreports.io/clusterreports",
                "wgpolicyk8s.io/policyreports",
                "wgpolicyk8s.io/clusterpolicyreports",
            )
            for verb, name in (
                ("list", ""),
                ("create", ""),
                ("get", " audit-operator"),
                ("patch", " audit-operator"),
                ("delete", " audit-operator"),
            )
        ),
        "get rbac.authorization.k8s.io/clusterroles audit-operator-reports",
    }
}
"""What report objects add to the operator's rights."""
DELIVERY = {
    ("Role", "kube-system"): {"create configmaps", "get configmaps audit-policy", "patch configmaps audit-policy"},
    ("Role", "fleet"): {
        "create configmaps",
        *(f"{verb} configmaps {name}" for verb in ("get", "patch") for name in "ab"),
    },
}


def test_the_operator_may_do_what_it_does_and_no_more(helm: Helm) -> None:
    assert rights(helm.objects(), "audit-operator") == OPERATOR


def test_agents_add_rights_in_one_namespace_and_the_names_of_nodes(helm: Helm) -> None:
    objects = helm.objects("nodeAgent.enabled=true")
    assert rights(objects, "audit-operator") == WITH_AGENTS
    assert rights(objects, "audit-operator-agent", f"{NAMESPACE}-agent") == AGENT


def test_a_shipper_reads_one_secret_and_reports(helm: Helm) -> None:
    objects = helm.objects("shipper.enabled=true")
    assert rights(objects, "audit-operator-shipper", f"{NAMESPACE}-agent") == SHIPPER
    assert rights(objects, "audit-operator") == together(OPERATOR, SHIPPING)
    named = helm.objects("shipper.enabled=true", "shipper.controlPlane=edge")
    assert (
        "get secrets audit-shipper-edge"
        in rights(named, "audit-operator-shipper", f"{NAMESPACE}-agent")["Role", NAMESPACE]
    )
    assert "patch secrets audit-shipper-edge" in rights(named, "audit-operator")["Role", NAMESPACE]


def test_secrets_of_sinks_are_read_where_the_values_say_and_never_listed(helm: Helm) -> None:
    chosen = helm.objects("shipper.enabled=true", f"shipper.secretNamespaces={{payments,{NAMESPACE}}}")
    assert rights(chosen, "audit-operator") == together(OPERATOR, SHIPPING, {("Role", "payments"): {"get secrets"}})
    everywhere = helm.objects("shipper.enabled=true", "shipper.secretNamespaces={*}")
    assert rights(everywhere, "audit-operator") == together(OPERATOR, SHIPPING, {("ClusterRole", "*"): {"get secrets"}})


def test_agents_and_shippers_take_nothing_from_each_other(helm: Helm) -> None:
    objects = helm.objects("nodeAgent.enabled=true", "shipper.enabled=true")
    assert rights(objects, "audit-operator") == together(WITH_AGENTS, SHIPPING)
    assert rights(objects, "audit-operator-agent", f"{NAMESPACE}-agent") == AGENT
    assert rights(objects, "audit-operator-shipper", f"{NAMESPACE}-agent") == SHIPPER


def test_sidecars_add_pods_to_look_at_and_config_maps_to_write_and_secrets_where_the_values_say(helm: Helm) -> None:
    assert rights(helm.objects("sidecar.enabled=true"), "audit-operator") == together(OPERATOR, SIDECARS)
    chosen = helm.objects("sidecar.enabled=true", "shipper.secretNamespaces={payments}")
    assert rights(chosen, "audit-operator") == together(OPERATOR, SIDECARS, {("Role", "payments"): SIDECAR_SECRETS})
    everywhere = helm.objects("sidecar.enabled=true", "shipper.secretNamespaces={*}")
    assert rights(everywhere, "audit-operator") == together(OPERATOR, SIDECARS, {("ClusterRole", "*"): SIDECAR_SECRETS})


def test_the_webhook_adds_its_own_configuration_and_its_own_secret(helm: Helm) -> None:
    objects = helm.objects("sidecar.enabled=true", "sidecar.mechanism=Webhook")
    assert rights(objects, "audit-operator") == together(OPERATOR, SIDECARS, WEBHOOK)


def test_workloads_are_touched_only_if_the_value_says_so(helm: Helm) -> None:
    objects = helm.objects("sidecar.enabled=true", "sidecar.restartWorkloads=true")
    assert rights(objects, "audit-operator") == together(OPERATOR, SIDECARS, {("ClusterRole", "*"): RESTARTS})


def test_roles_and_bindings_are_listed_unless_nobody_wants_to_know_who_may_what(helm: Helm) -> None:
    granted = rights(helm.objects("permissions.enabled=false"), "audit-operator")
    dropped = OPERATOR["ClusterRole", "*"] - granted["ClusterRole", "*"]
    assert dropped == {each for each in OPERATOR["ClusterRole", "*"] if "rbac.authorization.k8s.io" in each}


def test_reports_need_their_kinds_and_the_role_that_owns_them(helm: Helm) -> None:
    assert rights(list(helm.objects("reports.enabled=true")), "audit-operator") == together(OPERATOR, REPORTS)


def test_reports_that_nobody_writes_have_no_role_and_so_go_with_it(helm: Helm) -> None:
    objects = list(helm.objects("reports.enabled=true", "settings.reportSeconds=0"))
    assert rights(objects, "audit-operator") == OPERATOR
    assert "audit-operator-reports" not in {each["metadata"]["name"] for each in objects}


def test_probes_need_tokens_of_an_account_that_has_no_rights(helm: Helm) -> None:
    objects = list(helm.objects("probes.enabled=true"))
    token = "create serviceaccounts/token audit-operator-prober"
    memory = {"create configmaps", "get configmaps audit-operator-proof", "patch configmaps audit-operator-proof"}
    assert rights(objects, "audit-operator") == together(OPERATOR, {("Role", NAMESPACE): {token, *memory}})
    assert rights(objects, "audit-operator-prober") == {}
    [prober] = [each for each in objects if each["metadata"]["name"] == "audit-operator-prober"]
    assert (prober["kind"], prober["automountServiceAccountToken"]) == ("ServiceAccount", False)


def test_bodies_need_changes_to_one_name_that_there_is_not_and_nothing_else(helm: Helm) -> None:
    objects = list(helm.objects("probes.enabled=true", "probes.bodies.enabled=true"))
    wanted = {
        f"{verb} {f'{each.group}/' if each.group else ''}{each.resource} {NOTHING}"
        for each in WRITTEN
        for verb in each.verbs
    }
    assert rights(objects, "audit-operator-prober") == {("ClusterRole", "*"): wanted}
    assert rights(objects, "audit-operator") == rights(helm.objects("probes.enabled=true"), "audit-operator")
    assert rights(helm.objects("probes.bodies.enabled=true"), "audit-operator-prober") == {}


def test_delivery_may_write_the_named_config_maps_alone(helm: Helm) -> None:
    objects = helm.objects(
        "controlPlane.create=true",
        "controlPlane.spec.driver=ConfigMap",
        "controlPlane.spec.configMap.namespace=kube-system",
        "controlPlane.spec.configMap.name=audit-policy",
        "configMapDriver.targets[0].namespace=fleet,configMapDriver.targets[0].name=a",
        "configMapDriver.targets[1].namespace=fleet,configMapDriver.targets[1].name=b",
    )
    assert rights(objects, "audit-operator") == OPERATOR | DELIVERY


def test_nobody_gets_a_wildcard(helm: Helm) -> None:
    for each in helm.objects(*EVERYTHING):
        for rule in each.get("rules", []):
            named = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert not named & {"*", "impersonate", "escalate", "bind", "pods/exec"}
            assert "nonResourceURLs" not in rule


def test_nobody_gets_secrets_but_for_shipping_and_nobody_lists_them(helm: Helm) -> None:
    without = [value for value in EVERYTHING if value != "shipper.enabled=true"]
    for values, allowed in ((without, set()), (EVERYTHING, {"get", "create", "patch"})):
        rules = [rule for each in helm.objects(*values) for rule in each.get("rules", [])]
        rules = [rule for rule in rules if rule.get("resourceNames") != [NOTHING]]
        verbs = {verb for rule in rules if "secrets" in rule["resources"] for verb in rule["verbs"]}
        assert verbs == allowed


def test_the_right_to_unenrol_exists_only_while_the_chart_is_uninstalled(helm: Helm) -> None:
    objects = helm.objects(*EVERYTHING)
    hooks = [each for each in objects if each["metadata"]["name"] == "audit-operator-uninstall"]
    assert {each["kind"] for each in hooks} == {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Job"}
    assert {each["metadata"]["annotations"]["helm.sh/hook"] for each in hooks} == {"pre-delete"}
    assert all("hook-succeeded" in each["metadata"]["annotations"]["helm.sh/hook-delete-policy"] for each in hooks)
    verbs = {f"{verb} audit-operator.dev/auditcontrolplanes" for verb in ("get", "list", "patch")}
    assert rights(objects, "audit-operator-uninstall") == {("ClusterRole", "*"): verbs}


def test_edit_may_not_write_policies_unless_the_value_says_so(helm: Helm) -> None:
    def who_may(verb: str, *values: str) -> set[str]:
        return {
            role
            for role in ("view", "edit", "admin")
            for part in helm.objects(*values)
            if part["metadata"].get("labels", {}).get(f"rbac.authorization.k8s.io/aggregate-to-{role}") == "true"
            if any(verb in rule["verbs"] for rule in part["rules"])
        }

    assert who_may("list") == {"view", "edit", "admin"}
    assert who_may("create") == {"admin"}
    assert who_may("create", "rbac.aggregate.editMayWritePolicies=true") == {"edit", "admin"}
    names = {each["metadata"]["name"] for each in helm.objects("rbac.aggregate.enabled=false")}
    assert names.isdisjoint({"audit-operator-view", "audit-operator-write"})


def rights(
    objects: Iterable[dict[str, Any]], account: str, namespace: str = NAMESPACE
) -> dict[tuple[str, str], set[str]]:
    """By kind of role and namespace, what a service account may do: ``verb group/resource name``."""
    objects = list(objects)
    roles = {(each["kind"], each["metadata"].get("namespace", "*"), each["metadata"]["name"]): each for each in objects}
    found: dict[tuple[str, str], set[str]] = {}
    for binding in objects:
        if {"kind": "ServiceAccount", "name": account, "namespace": namespace} not in binding.get("subjects", []):
            continue
        where = binding["metadata"].get("namespace", "*")
        role = roles[binding["roleRef"]["kind"], where, binding["roleRef"]["name"]]
        found.setdefault((role["kind"], where), set()).update(each for rule in role["rules"] for each in _spelt(rule))
    return found


def together(*granted: dict[tuple[str, str], set[str]]) -> dict[tuple[str, str], set[str]]:
    """What somebody may do who has several such rights."""
    return {key: {right for each in granted for right in each.get(key, ())} for key in set().union(*granted)}


def _spelt(rule: dict[str, Any]) -> Iterable[str]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames", [""]):
                    yield f"{verb} {group + '/' if group else ''}{resource} {name}".rstrip()


def test_alerts_of_detections_add_one_kind_of_object(helm: Helm) -> None:
    objects = helm.objects("detections.prometheusRules.enabled=true")
    assert rights(objects, "audit-operator") == together(OPERATOR, ALERTS)
