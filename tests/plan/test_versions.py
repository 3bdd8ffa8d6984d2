"""The policy suits the oldest API server, and whoever asked for more is told."""

from __future__ import annotations

import pytest

from audit_operator.api.audit import Level
from audit_operator.api.observations import ApiServerObservation, ApiServerState
from audit_operator.plan import plan
from audit_operator.plan.snapshot import NamespaceFact, Snapshot
from audit_operator.plan.status import statuses
from audit_operator.plan.versions import OLDEST_SUPPORTED, oldest_version
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.gates import Version
from audit_operator.policy.model import Request, User
from tests.plan.objects import audit_policy, cluster_policy, control_plane

CONFIG_MAP = {"driver": "ConfigMap", "configMap": {"namespace": "audit", "name": "policy"}}
OBSERVE = {"driver": "Observe", "observe": {"provider": "EKS"}}
DEPLOYMENTS_ANYWHERE = {"level": "RequestResponse", "resources": [{"group": "*", "resources": ["deployments"]}]}


def server(name, version="", *, at_least=""):
    return ApiServerObservation(
        name, ready=True, state=ApiServerState.RUNNING, version=version, version_at_least=at_least
    )


def snapshot_with(*servers, server_version="v1.37.2", rules=None, **spec):
    spec = spec or {"driver": "StaticPod"}
    return Snapshot(
        control_planes=(control_plane(**spec),),
        audit_policies=(audit_policy(rules=rules or [DEPLOYMENTS_ANYWHERE, {"level": "Metadata"}]),),
        cluster_audit_policies=(cluster_policy(),),
        namespaces=(NamespaceFact("payments"),),
        observations={"main": servers} if servers else {},
        server_version=server_version,
    )


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ([server("a", "v1.37.2"), server("b", "v1.35.4")], Version(1, 35)),
        ([server("a", "v1.37.2", at_least="v1.35.4")], Version(1, 37)),
        ([server("a", "v1.37.2"), server("b", at_least="v1.36.1")], Version(1, 36)),
        ([server("a", "v1.37.2"), server("b")], OLDEST_SUPPORTED),
        ([], OLDEST_SUPPORTED),
    ],
)
def test_a_node_that_was_not_seen_is_as_old_as_its_kubelet_may_make_it(servers, expected):
    snapshot = snapshot_with(*servers)
    assert oldest_version(snapshot.control_planes[0], snapshot) == expected


@pytest.mark.parametrize(
    ("spec", "server_version", "expected"),
    [
        (CONFIG_MAP, "v1.36.3", Version(1, 35)),
        (CONFIG_MAP, "", OLDEST_SUPPORTED),
        ({**CONFIG_MAP, "kubernetesVersion": "1.36"}, "v1.37.2", Version(1, 36)),
        ({"driver": "Process"}, "v1.36.3", Version(1, 36)),
        (OBSERVE, "v1.36.3", Version(1, 36)),
    ],
)
def test_whoever_talks_to_one_api_server_knows_the_others_within_one_minor(spec, server_version, expected):
    snapshot = snapshot_with(server_version=server_version, **spec)
    assert oldest_version(snapshot.control_planes[0], snapshot) == expected


def finding_ids(snapshot, ref):
    status = statuses(snapshot, plan(snapshot), {})[ref]
    return [each["id"] for each in status.get("findings", status.get("composition", {}).get("findings", []))]


MIXED = (server("cp-0", "v1.37.2"), server("cp-1", "v1.35.4"))
NEW = (server("cp-0", "v1.37.2"), server("cp-1", "v1.37.2"))


def test_a_rule_that_only_the_newer_one_knows_is_reported_until_the_older_one_is_upgraded():
    mixed, upgraded = snapshot_with(*MIXED), snapshot_with(*NEW)
    policy, plane = mixed.audit_policies[0].ref, mixed.control_planes[0].ref
    assert 'group: "*"' not in plan(mixed).compiled["main"].desired.text
    assert finding_ids(mixed, policy) == ["recorded-above-asked-until-upgrade", "newer-than-api-servers"]
    assert finding_ids(mixed, plane) == ["recorded-above-asked-until-upgrade", "mixed-versions"]
    assert 'group: "*"' in plan(upgraded).compiled["main"].desired.text
    assert finding_ids(upgraded, policy) == finding_ids(upgraded, plane) == []


def test_the_rule_is_named_by_its_path_and_so_is_a_limit():
    snapshot = snapshot_with(*MIXED, rules=[{"level": "Metadata"}, DEPLOYMENTS_ANYWHERE])
    [finding] = plan(snapshot).findings[snapshot.audit_policies[0].ref]
    assert (finding.id, finding.path) == ("newer-than-api-servers", "spec.rules[1].resources[0].group")
    limiting = cluster_policy(limits=[{"level": "Metadata", "resources": [{"group": "*", "resources": ["tokens"]}]}])
    limited = Snapshot(control_planes=snapshot.control_planes, cluster_audit_policies=(limiting,))
    [finding] = plan(limited).findings[limiting.ref]
    assert finding.path == "spec.limits[0].resources[0].group"


@pytest.mark.parametrize(
    ("group", "resource", "expected"),
    [
        ("apps", "deployments", Level.REQUEST_RESPONSE),
        ("", "secrets", Level.METADATA),
        ("example.com", "deployments", Level.REQUEST_RESPONSE),
        ("example.com", "widgets", Level.REQUEST_RESPONSE),
    ],
)
def test_for_the_older_one_only_custom_resources_are_recorded_above_what_was_asked(group, resource, expected):
    policy = plan(snapshot_with(*MIXED)).compiled["main"].policy
    request = Request(User("alice"), "get", resource_request=True, api_group=group, namespace="payments",
                      resource=resource)  # fmt: skip
    assert evaluate(policy, request).level is expected


def test_a_version_that_is_declared_falsely_is_said():
    snapshot = snapshot_with(*MIXED, driver="StaticPod", kubernetesVersion="1.37")
    assert finding_ids(snapshot, snapshot.control_planes[0].ref) == ["declared-version-too-new"]


def test_a_node_that_holds_the_others_back_unseen_is_named():
    snapshot = snapshot_with(server("cp-0", "v1.37.2"), server("cp-1", at_least="v1.35.4"))
    status = statuses(snapshot, plan(snapshot), {})[snapshot.control_planes[0].ref]
    [finding] = [each for each in status["findings"] if each["id"] == "version-not-seen"]
    assert "cp-1" in finding["message"]
    assert "1.35" in finding["message"]
