from __future__ import annotations

import copy

import pytest

from audit_operator.shipping.injection.patch import _add, patch
from audit_operator.shipping.injection.template import SidecarTemplate, TemplateError
from tests.shipping.injection import pods
from tests.shipping.injection.pods import INJECTED, LEFT_ALONE, TEMPLATE, model, pod, policy


def injected(document, *policies):
    result = copy.deepcopy(document)
    for each in patch(document, "payments", [model(each) for each in policies], TEMPLATE):
        _add(result, each["path"], each["value"])
    return result


def names(document):
    return [each["name"] for each in document["spec"]["initContainers"]]


@pytest.mark.parametrize("name", INJECTED)
def test_a_pod_that_is_meant_gets_one_sidecar_and_keeps_all_that_it_had(name):
    before = INJECTED[name]
    after = injected(before, pods.SELECTIVE)
    assert names(after).count("audit-shipper-pci") == 1
    rest = [each for each in after["spec"]["initContainers"] if each["name"] != "audit-shipper-pci"]
    assert rest == before["spec"].get("initContainers", [])
    volumes = [each for each in after["spec"]["volumes"] if not each["name"].endswith("-pci")]
    assert volumes == before["spec"]["volumes"]
    assert after["spec"]["containers"] == before["spec"]["containers"]


@pytest.mark.parametrize("name", [*INJECTED, *LEFT_ALONE])
def test_injecting_twice_is_injecting_once(name):
    once = injected((INJECTED | LEFT_ALONE)[name], pods.SELECTIVE)
    assert injected(once, pods.SELECTIVE) == once


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_other_pods_are_left_alone(name):
    assert injected(LEFT_ALONE[name], pods.SELECTIVE) == LEFT_ALONE[name]


def test_it_comes_after_a_service_mesh_and_before_everything_else():
    assert names(injected(INJECTED["with istio in front"], policy())) == [
        "istio-init", "istio-proxy", "audit-shipper-pci", "setup",
    ]  # fmt: skip
    assert names(injected(INJECTED["with init containers"], policy())) == ["audit-shipper-pci", "setup", "migrate"]


def test_each_policy_of_a_namespace_has_its_own_whatever_comes_first():
    first, second, third = policy("a"), policy("b"), policy("c")
    after = injected(pod(), second, third, first)
    assert names(after) == ["audit-shipper-a", "audit-shipper-b", "audit-shipper-c"]
    assert injected(injected(pod(), third), first, second) == after
    assert injected(injected(injected(pod(), second), first), third) == after


def test_the_sidecar_runs_as_whoever_writes_and_never_as_root():
    def user(name):
        [found] = [each for each in injected(INJECTED[name], policy())["spec"]["initContainers"] if "env" in each]
        context = found["securityContext"]
        assert context["runAsNonRoot"] is True
        return context["runAsUser"], context["runAsGroup"]

    assert user("plain") == (65532, 65532)
    assert user("with a user") == (1000, 2000)
    assert user("with a writer's user") == (1234, 0)
    assert user("with root") == (65532, 0)
    assert user("with a container that is root") == (65532, 65532)


def sidecar_resources(document, template=TEMPLATE):
    operations = patch(document, "payments", [model(policy())], template)
    [found] = [each["value"] for each in operations if each["path"].startswith("/spec/initContainers/")]
    return found["resources"]


@pytest.mark.parametrize("who", ["", "an init container ", "a native sidecar "])
def test_the_queues_of_a_sink_that_is_away_do_not_count_against_the_limits_of_the_application(who):
    name = f"with {who and who + 'with '}limited storage"
    plain, limited = sidecar_resources(pod()), sidecar_resources(INJECTED[name])
    assert limited["limits"] == {**plain["limits"], "ephemeral-storage": "576Mi"}
    assert limited["requests"] == {**plain["requests"], "ephemeral-storage": "16Mi"}
    assert "ephemeral-storage" not in plain["limits"] | plain["requests"]


def test_where_no_limit_is_no_storage_of_the_pod_is_limited_by_the_sidecar():
    assert sidecar_resources(INJECTED["with storage asked for but not limited"]) == sidecar_resources(pod())


def test_storage_that_the_template_names_is_left_as_it_is():
    text = pods.TEMPLATE_TEXT.replace('"160Mi"', '"160Mi", "ephemeral-storage": "2Gi"')
    named = SidecarTemplate.parse(text)
    limited = sidecar_resources(INJECTED["with limited storage"], named)
    assert limited == {"requests": dict(named.requests), "limits": dict(named.limits)}


def test_policies_whose_names_do_not_fit_and_those_without_application_logs_inject_nothing():
    without = policy()
    del without["spec"]["applicationLogs"]
    assert injected(pod(), policy("a" * 43), policy("a.b"), without) == pod()
    assert names(injected(pod(), policy("a" * 42))) == ["audit-shipper-" + "a" * 42]


def test_excluded_namespaces_are_left_alone():
    assert patch(pod(), "kube-system", [model(policy(namespace="kube-system"))], TEMPLATE) == []


def test_another_template_has_another_revision():
    text = pods.TEMPLATE_TEXT.replace("160Mi", "200Mi")
    assert SidecarTemplate.parse(text).revision != TEMPLATE.revision


def test_one_more_namespace_without_sidecars_makes_no_sidecar_stale():
    text = pods.TEMPLATE_TEXT.replace('["kube-system"]', '["kube-system", "monitoring"]')
    more = SidecarTemplate.parse(text)
    assert more.excluded_namespaces == {"kube-system", "monitoring"}
    assert more.revision == TEMPLATE.revision


@pytest.mark.parametrize("text", ["", "{}", pods.TEMPLATE_TEXT.replace("image", "picture", 1)])
def test_a_text_that_is_no_template_is_refused_with_the_place(text):
    with pytest.raises(TemplateError):
        SidecarTemplate.parse(text)
