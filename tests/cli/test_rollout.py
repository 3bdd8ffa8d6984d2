"""`rollout`: what each action changes, to which policy a rollback goes, and when waiting is over."""

from __future__ import annotations

import json

import pytest

from audit_operator.cli import rollout
from audit_operator.cli.main import main
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError, Listing
from audit_operator.controlplane.configmap import DIGEST_ANNOTATION
from audit_operator.controlplane.static_pod.instructions import Instructions

OLD, OLDER, NEW = "a" * 64, "b" * 64, "c" * 64


def server(**more):
    running = {"name": "cp-1", "state": "Running", "ready": True, "desiredDigest": NEW, "runningDigest": NEW}
    return {**running, **more}


def plane(name="main", generation=1, servers=(), **spec):
    return {
        "metadata": {"name": name, "generation": generation},
        "spec": {"driver": "StaticPod", **spec},
        "status": {"observedGeneration": generation, "digest": NEW, "apiServers": list(servers or [server()])},
    }


def published(digest, at, namespace="audit-operator", **annotations):
    metadata = {
        "name": f"audit-policy-{digest[:16]}",
        "namespace": namespace,
        "creationTimestamp": f"2026-07-29T10:00:0{at}Z",
        "annotations": {DIGEST_ANNOTATION: digest, **annotations},
    }
    return {"metadata": metadata}


class FakeClient:
    """Objects in memory. `away` requests are not answered, and `refused` ones are refused, before all goes well."""

    def __init__(self, *planes, policies=(), told=None):
        self.planes = {each["metadata"]["name"]: each for each in planes}
        self.policies = list(policies)
        self.told = told or {}
        self.errors = []
        self.on_get = lambda _plane: None

    async def list(self, resource, convert, *, namespace=""):
        self._maybe_fail()
        if resource.kind == "AuditControlPlane":
            return Listing(tuple(map(convert, self.planes.values())), "1")
        assert (resource.kind, resource.label_selector) == ("ConfigMap", "audit-operator.dev/component=policy")
        fitting = [each for each in self.policies if namespace in {"", each["metadata"]["namespace"]}]
        return Listing(tuple(map(convert, fitting)), "1")

    async def get(self, resource, *, name, namespace=""):
        self._maybe_fail()
        if resource.kind == "ConfigMap":
            if namespace != "audit-operator" or name not in self.told:
                raise ApiError(404, "NotFound", name)
            return {"data": {"instructions.json": self.told[name]}}
        self.on_get(self.planes[name])
        return self.planes[name]

    async def merge(self, _resource, *, name, body):
        self._maybe_fail()
        changed = self.planes[name]
        for field, value in body["spec"].items():
            changed["spec"][field] = {**changed["spec"].get(field, {}), **value}
        changed["metadata"]["generation"] += 1
        return changed

    def _maybe_fail(self):
        if self.errors:
            raise self.errors.pop(0)


class FakeConnection:
    def session(self):
        return None

    async def aclose(self):
        pass


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command against a client; returns its exit status and what it printed."""

    def run(client, *arguments):
        async def connect(*_):
            return FakeConnection()

        monkeypatch.setattr("audit_operator.cluster.connection.connect", connect)
        monkeypatch.setattr("audit_operator.cluster.rest.RestClient", lambda _session: client)
        monkeypatch.setattr(rollout, "_POLL", 0.0)
        status = main(["rollout", *arguments])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def spec_after(run, *arguments, client=None, **spec):
    client = client or FakeClient(plane(**spec))
    assert run(client, *arguments)[0] == 0
    return {key: value for key, value in client.planes["main"]["spec"].items() if key != "driver"}


def test_pausing_changes_nothing_else(run):
    assert spec_after(run, "pause", rollout={"retry": "x"}) == {"rollout": {"retry": "x", "paused": True}}


def test_resuming_goes_on_tries_again_ends_a_rollback_and_enrols(run):
    spec = spec_after(run, "resume", rollout={"paused": True, "pinnedDigest": OLD, "retry": "before"})
    assert spec["rollout"].pop("retry") != "before"
    assert spec == {"rollout": {"paused": False, "pinnedDigest": ""}, "staticPod": {"enrolled": True}}


def test_unenrolling_does_not_wait_for_a_paused_rollout(run):
    spec = spec_after(run, "unenrol", rollout={"paused": True})
    assert spec == {"rollout": {"paused": False}, "staticPod": {"enrolled": False}}


def test_status_changes_nothing(run):
    assert spec_after(run, "status") == {}


# Rolling back

KEPT = [published(NEW, 1), published(OLDER, 2), published(OLD, 3)]


def told(*history, plane="main"):
    """What was asked for; when a policy was first published says nothing about that."""
    return {f"audit-rollout-{plane}": Instructions(plane=plane, nodes=(), history=history).model_dump_json()}


def pinned_after(run, *arguments, history=(OLDER, OLD, NEW), policies=KEPT, **spec):
    client = FakeClient(plane(**spec), policies=policies, told=told(*history))
    return spec_after(run, "rollback", *arguments, client=client)["rollout"]["pinnedDigest"]


def test_a_rollback_goes_to_what_was_asked_for_before_the_wanted_policy(run):
    client = FakeClient(plane(), policies=KEPT, told=told(OLDER, OLD, NEW))
    assert spec_after(run, "rollback", client=client) == {"rollout": {"paused": False, "pinnedDigest": OLD}}


def test_a_second_rollback_goes_one_further(run):
    assert pinned_after(run, rollout={"pinnedDigest": OLD}) == OLDER


def test_where_the_wanted_policy_was_never_told_the_last_that_was_is_the_one_before(run):
    assert pinned_after(run, history=(OLDER, OLD)) == OLD


def test_a_rollback_can_go_to_any_policy_that_is_kept_by_its_beginning(run):
    assert pinned_after(run, "--to", "bbb", history=()) == OLDER


@pytest.mark.parametrize(
    ("arguments", "policies", "instructions", "spec"),
    [
        ([], KEPT, told(NEW), {}),
        ([], KEPT, {}, {}),
        ([], KEPT, {"audit-rollout-main": '{"version": 2}'}, {}),
        ([], KEPT[:2], told(OLD, NEW), {}),
        ([], KEPT, told(OLD, NEW), {"rollout": {"pinnedDigest": OLDER}}),
        (["--to", "d"], KEPT, told(OLD, NEW), {}),
        (["--to", "a"], [published(OLD, 1), published("a" + NEW[1:], 2)], told(OLD, NEW), {}),
    ],
    ids=[
        "there is none before",
        "nothing was told",
        "what was told is not understood",
        "the one before is not kept",
        "what came before the pinned one is not remembered",
        "no such policy",
        "more than one",
    ],
)
def test_where_no_single_policy_fits_nothing_is_changed(run, arguments, policies, instructions, spec):
    client = FakeClient(plane(**spec), policies=policies, told=instructions)
    status, said = run(client, "rollback", *arguments)
    assert status == 2
    assert "no single policy to go back to" in said
    assert client.planes["main"]["spec"] == {"driver": "StaticPod", **spec}


def test_what_lies_in_other_namespaces_is_no_policy_to_go_back_to(run):
    theirs = published("d" * 64, 2, namespace="tenant")
    client = FakeClient(plane(), policies=[theirs], told=told("d" * 64, NEW))
    assert run(client, "rollback")[0] == 2
    assert pinned_after(run, "-n", "tenant", "--to", "d", policies=[theirs]) == "d" * 64


def test_each_of_several_control_planes_goes_back_its_own_way(run):
    client = FakeClient(
        plane(), plane("other"), policies=KEPT, told={**told(OLD, NEW), **told(OLDER, NEW, plane="other")}
    )
    assert spec_after(run, "rollback", "main", client=client)["rollout"]["pinnedDigest"] == OLD
    assert run(client, "rollback", "other")[0] == 0
    assert client.planes["other"]["spec"]["rollout"]["pinnedDigest"] == OLDER


def test_a_policy_without_a_digest_is_passed_over(run):
    assert pinned_after(run, "--to", "a", policies=[published("", 2), *KEPT]) == OLD


# Which control plane


def test_the_only_control_plane_with_node_agents_needs_no_name(run):
    other = plane("other")
    other["spec"]["driver"] = "Process"
    assert spec_after(run, "pause", client=FakeClient(plane(), other)) == {"rollout": {"paused": True}}


@pytest.mark.parametrize("arguments", [["pause"], ["pause", "absent"]])
def test_one_of_several_must_be_named(run, arguments):
    client = FakeClient(plane(), plane("other"))
    status, said = run(client, *arguments)
    assert status == 2
    assert "name one AuditControlPlane" in said


def test_all_are_unenrolled_unless_one_is_named(run):
    client = FakeClient(plane(), plane("other"))
    assert run(client, "unenrol")[0] == 0
    assert [each["spec"]["staticPod"]["enrolled"] for each in client.planes.values()] == [False, False]


# Waiting


def test_done_is_when_every_api_server_runs_what_is_wanted():
    assert rollout.is_done(plane(), 1)
    assert rollout.is_done(plane(servers=[server(), server(name="cp-2")]), 1)


@pytest.mark.parametrize(
    "one",
    [
        server(ready=False),
        server(runningDigest=OLD),
        server(runningDigest=""),
        server(state="Waiting"),
        {"name": "cp-2", "state": "Unknown"},
    ],
    ids=["not ready", "another policy", "no proof", "other log flags are wanted", "not seen"],
)
def test_one_that_does_not_is_enough_not_to_be_done(one):
    assert not rollout.is_done(plane(servers=[server(), one]), 1)


def test_a_status_of_an_earlier_spec_says_nothing():
    assert not rollout.is_done(plane(generation=1), 2)
    assert not rollout.is_done({"metadata": {}, "spec": {}}, 1)


def test_no_api_servers_are_not_done():
    assert not rollout.is_done({**plane(), "status": {"observedGeneration": 1, "apiServers": []}}, 1)


def test_while_a_policy_is_pinned_that_one_is_waited_for():
    pinned = {"rollout": {"pinnedDigest": OLD}}
    assert rollout.is_done(plane(servers=[server(runningDigest=OLD)], **pinned), 1)
    assert not rollout.is_done(plane(servers=[server()], **pinned), 1)


def test_unenrolled_is_when_nothing_is_wanted_of_any_api_server():
    unenrolled = {"staticPod": {"enrolled": False}}
    back = {"name": "cp-1", "state": "Running", "ready": True}
    assert rollout.is_done(plane(servers=[back], **unenrolled), 1)
    assert not rollout.is_done(plane(servers=[{**back, "state": "Waiting"}], **unenrolled), 1)
    assert not rollout.is_done(plane(servers=[{**back, "ready": False}], **unenrolled), 1)
    assert not rollout.is_done(plane(servers=[server()], **unenrolled), 1)


def test_waiting_ends_when_it_is_done(run):
    client = FakeClient(plane(servers=[server(ready=False)]))

    def catch_up(each):
        each["status"] |= {"observedGeneration": each["metadata"]["generation"], "apiServers": [server()]}

    client.on_get = catch_up
    assert run(client, "resume", "--wait")[0] == 0


def test_waiting_goes_on_until_it_stays_done(run):
    client, seen = FakeClient(plane()), []

    def come_and_go(each):
        seen.append(len(seen) != 1)
        each["status"]["apiServers"] = [server(ready=seen[-1])]
        if len(seen) == 4:
            client.errors.append(ApiUnreachableError("away once more"))

    client.on_get = come_and_go
    assert run(client, "status", "--wait")[0] == 0
    assert seen == [True, False, True, True, True, True, True, True]  # the last: what is shown


def test_waiting_in_vain_ends_with_status_1(run):
    client = FakeClient(plane(servers=[server(ready=False)]))
    status, said = run(client, "status", "--wait", "--timeout", "0.05")
    assert status == 1
    assert "cp-1" in said


@pytest.mark.parametrize("error", [ApiUnreachableError("away"), ApiError(403, "Forbidden", "no roles yet")])
def test_waiting_outlasts_an_api_server_that_is_away(run, error):
    client = FakeClient(plane())
    client.errors = [error, error]
    assert run(client, "status", "--wait")[0] == 0


@pytest.mark.parametrize("error", [ApiUnreachableError("why"), InconsistentListError("why")])
def test_without_waiting_an_api_server_that_does_not_answer_well_is_an_error(run, error):
    client = FakeClient(plane())
    client.errors = [error]
    status, said = run(client, "status")
    assert (status, said.endswith("cannot use the cluster: why\n")) == (2, True)


# Showing


def test_status_shows_each_node_and_why_it_waits(run):
    waiting = server(name="cp-2", state="Waiting", runningDigest=OLD, lastError="another node's turn", attempts=2)
    shown = plane(servers=[server(), waiting])
    shown["status"] |= {
        "progress": "1/2",
        "conditions": [{"type": "Programmed", "status": "False", "reason": "Pending", "message": "1 of 2"}],
    }
    _, said = run(FakeClient(shown), "status")
    head, programmed, _, columns, first, second = said.splitlines()
    assert head == "main: 1/2 run the wanted policy"
    assert programmed == "Programmed=False Pending: 1 of 2"
    assert columns.split()[:3] == ["NODE", "STATE", "DESIRED"]
    assert first.split() == ["cp-1", "Running", NEW[:12], NEW[:12], "True", "0", "-"]
    assert second.split()[:6] == ["cp-2", "Waiting", NEW[:12], OLD[:12], "True", "2"]
    assert second.endswith("another node's turn")


def test_status_as_json_is_what_the_object_says(run):
    _, said = run(FakeClient(plane()), "status", "-o", "json")
    assert json.loads(said) == {"name": "main", "generation": 1, "status": plane()["status"]}
