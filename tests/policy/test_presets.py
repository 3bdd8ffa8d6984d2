"""What the shipped rule lists promise, request by request."""

from __future__ import annotations

from importlib.resources import files
from itertools import pairwise

import pytest
import yaml

from audit_operator.api.audit import Level, Stage
from audit_operator.api.rules import PresetName
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.model import Decision, Policy, Request, User
from audit_operator.policy.presets import file_name, load_preset

ALICE = User("alice@example.com", ("oidc:dev", "system:authenticated"))
APP = User(
    "system:serviceaccount:team-a:app",
    ("system:serviceaccounts", "system:serviceaccounts:team-a", "system:authenticated"),
)
NODE = User("system:node:worker-1", ("system:nodes", "system:authenticated"))
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
LOOPBACK = User("system:apiserver", ("system:authenticated", "system:masters"))
IMPOSTOR = User("system:apiserver", ("system:authenticated",))
NOBODY = None

WRITES = ("create", "update", "patch", "delete", "deletecollection")
READS = ("get", "list", "watch")
COMPLETE = [name for name in PresetName if name is not PresetName.METADATA]

NONE, METADATA, REQUEST, REQUEST_RESPONSE = Level


def about(resource: str, verb: str, user: User | None = ALICE, group: str = "", namespace: str = "team-a") -> Request:
    name, _, subresource = resource.partition("/")
    return Request(user, verb, True, group, "v1", namespace, name, subresource, "x")


def at(path: str, user: User | None = ALICE, verb: str = "get") -> Request:
    return Request(user, verb, False, path=path)


def decide(preset: PresetName, request: Request) -> Decision:
    return evaluate(Policy(load_preset(preset)), request)


@pytest.mark.parametrize("preset", PresetName)
@pytest.mark.parametrize("verb", [*WRITES, *READS])
@pytest.mark.parametrize("resource", ["secrets", "configmaps"])
def test_bodies_that_hold_credentials_are_never_recorded(preset: PresetName, resource: str, verb: str) -> None:
    for user in (ALICE, APP, NODE, NOBODY):
        assert decide(preset, about(resource, verb, user)).level is METADATA


@pytest.mark.parametrize("preset", PresetName)
def test_a_token_review_is_recorded_without_the_token(preset: PresetName) -> None:
    request = about("tokenreviews", "create", group="authentication.k8s.io", namespace="")
    assert decide(preset, request).level is METADATA


@pytest.mark.parametrize("preset", PresetName)
def test_a_minted_token_never_gets_into_the_log(preset: PresetName) -> None:
    assert METADATA <= decide(preset, about("serviceaccounts/token", "create")).level <= REQUEST


@pytest.mark.parametrize("preset", PresetName)
@pytest.mark.parametrize("verb", ["get", "create"])
@pytest.mark.parametrize("resource", ["pods/exec", "pods/attach", "pods/portforward", "nodes/proxy", "pods/log"])
def test_exec_and_tunnels_are_recorded_whichever_way_they_come(preset: PresetName, resource: str, verb: str) -> None:
    for user in (ALICE, APP, NODE):
        decision = decide(preset, about(resource, verb, user))
        assert decision.level >= METADATA
        assert not decision.omit_stages & {Stage.RESPONSE_STARTED, Stage.RESPONSE_COMPLETE}


@pytest.mark.parametrize("preset", PresetName)
@pytest.mark.parametrize(
    "request_",
    [
        about("pods", "get", NOBODY),
        about("secrets", "list", NOBODY),
        about("leases", "update", NOBODY, "coordination.k8s.io", "kube-node-lease"),
        about("events", "create", NOBODY),
        at("/api", NOBODY),
        at("/version", NOBODY),
        at("/livez", NOBODY),
        at("/readyz/etcd", NOBODY),
    ],
    ids=str,
)
def test_failed_authentication_is_always_recorded(preset: PresetName, request_: Request) -> None:
    decision = decide(preset, request_)
    assert decision.level >= METADATA
    assert Stage.RESPONSE_STARTED not in decision.omit_stages


@pytest.mark.parametrize("preset", PresetName)
def test_what_anonymous_people_ask_is_recorded_but_for_health_checks(preset: PresetName) -> None:
    for path in ("/metrics", "/logs/", "/openapi/v2", "/debug/pprof/", "/api", "/version"):
        assert decide(preset, at(path, ANONYMOUS)).level is METADATA
    for verb in ("get", "list", "create"):
        assert decide(preset, about("nodes", verb, ANONYMOUS, namespace="")).level >= METADATA


@pytest.mark.parametrize("preset", PresetName)
@pytest.mark.parametrize("verb", ["delete", "deletecollection"])
@pytest.mark.parametrize("group", ["", "events.k8s.io"])
def test_removing_traces_is_recorded_even_from_nodes(preset: PresetName, group: str, verb: str) -> None:
    for user in (ALICE, APP, NODE):
        assert decide(preset, about("events", verb, user, group)).level >= METADATA


@pytest.mark.parametrize("preset", PresetName)
@pytest.mark.parametrize("verb", WRITES)
def test_no_write_of_people_and_workloads_is_left_out(preset: PresetName, verb: str) -> None:
    for user in (ALICE, APP, IMPOSTOR, LOOPBACK):
        for resource in ("leases", "nodes", "endpoints", "anything"):
            assert decide(preset, about(resource, verb, user, "some.example.com")).level >= METADATA
            assert decide(preset, about(resource, verb, user, "coordination.k8s.io", "kube-system")).level >= METADATA


@pytest.mark.parametrize("preset", PresetName)
@pytest.mark.parametrize("verb", READS)
def test_a_name_alone_hides_no_read(preset: PresetName, verb: str) -> None:
    assert decide(preset, about("pods", verb, IMPOSTOR)).level is METADATA


@pytest.mark.parametrize("preset", COMPLETE)
@pytest.mark.parametrize("verb", ["create", "update", "patch"])
@pytest.mark.parametrize(
    ("group", "resource"),
    [
        ("", "pods"),
        ("", "pods/ephemeralcontainers"),
        ("", "services"),
        ("networking.k8s.io", "ingresses"),
        ("", "persistentvolumes"),
        ("storage.k8s.io", "storageclasses"),
        ("rbac.authorization.k8s.io", "clusterroles"),
        ("rbac.authorization.k8s.io", "rolebindings"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ],
)
def test_what_only_bodies_show_is_recorded_with_the_body(
    preset: PresetName, group: str, resource: str, verb: str
) -> None:
    for user in (ALICE, APP):
        assert decide(preset, about(resource, verb, user, group)).level >= REQUEST


@pytest.mark.parametrize("preset", PresetName)
@pytest.mark.parametrize("verb", READS)
def test_reads_never_carry_bodies(preset: PresetName, verb: str) -> None:
    for resource in ("pods", "deployments", "secrets", "nodes", "configmaps"):
        assert decide(preset, about(resource, verb)).level is METADATA


@pytest.mark.parametrize("preset", [PresetName.BASELINE, PresetName.WRITE_BODIES])
def test_the_top_talkers_are_left_out(preset: PresetName) -> None:
    noise = [
        about("leases", "update", NODE, "coordination.k8s.io", "kube-node-lease"),
        about("events", "create", NODE),
        about("events", "patch", NODE, "events.k8s.io"),
        about("pods", "watch", LOOPBACK),
        at("/livez", ANONYMOUS),
        at("/readyz", ALICE),
        at("/apis/apps/v1", ALICE),
    ]
    assert [decide(preset, request).level for request in noise] == [NONE] * len(noise)


def test_presets_record_more_from_one_to_the_next() -> None:
    requests = [
        about(resource, verb, user, group)
        for group, resource in (("", "secrets"), ("", "pods"), ("apps", "deployments"), ("", "pods/exec"), ("x", "y"))
        for verb in (*WRITES, *READS)
        for user in (ALICE, APP, NODE, ANONYMOUS, NOBODY)
    ]
    for less, more in pairwise(COMPLETE):
        for request in requests:
            assert decide(less, request).level <= decide(more, request).level


@pytest.mark.parametrize("preset", COMPLETE)
def test_a_namespaced_policy_gets_a_preset_that_still_decides_everything(preset: PresetName) -> None:
    rules = tuple(rule for rule in load_preset(preset) if not rule.namespaces and not rule.non_resource_urls)
    assert evaluate(Policy(rules), about("pods", "create")).level >= REQUEST
    assert evaluate(Policy(rules), about("pods", "get", NOBODY)).level is METADATA


@pytest.mark.parametrize("preset", PresetName)
def test_a_preset_is_a_policy_file_that_says_what_it_is_for(preset: PresetName) -> None:
    text = files("audit_operator.policy.presets").joinpath(file_name(preset)).read_text(encoding="utf-8")
    assert yaml.safe_load(text)["kind"] == "Policy"
    assert text.startswith(f"# {preset}: ")
