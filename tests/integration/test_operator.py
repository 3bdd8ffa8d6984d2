"""The operator on a real API server: whatever happens, it ends in the right policy and the right status."""

from __future__ import annotations

import http
import json
import os
import signal
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.conftest import prepare_for_operator
from tests.integration.control_plane import ClusterUser, RunningControlPlane
from tests.integration.operator_process import (
    BASELINE,
    GROUP,
    MAIN,
    NAMESPACE,
    USER,
    OperatorProcess,
    eventually,
    thing,
)


def prepared(control_plane: RunningControlPlane) -> OperatorProcess:
    prepare_for_operator(control_plane, "payments", "web")
    return OperatorProcess(control_plane)


@pytest.fixture
def operator(private_control_plane):
    operator = prepared(private_control_plane(users=(ClusterUser(USER),)))
    yield operator
    operator.stop_all()


CATALOGUE = """
apiVersion: catalogue.audit-operator.dev/v1alpha1
kind: CriticalActionCatalogue
actions:
- id: widgets-delete
  title: Widget deleted
  tactic: impact
  severity: high
  match:
  - {apiGroup: widgets.example.com, resources: [widgets], verbs: [delete, deletecollection], scope: Namespaced}
  subjects: [human]
  minLevel: Metadata
  stages: [ResponseComplete]
"""


def level_of_a_service_read(operator: OperatorProcess, namespace: str) -> set[str]:
    response = operator.control_plane.request("GET", f"/api/v1/namespaces/{namespace}/services")
    return {event["level"] for event in operator.control_plane.audit_events(response.audit_id)}


def fires(can_fire: str) -> list[dict[str, str]]:
    return [{"name": "admin", "canFire": can_fire}]


def test_an_objects_life_is_followed_and_nothing_is_written_when_nothing_changes(operator):
    operator.start()
    control_plane = operator.control_plane
    detections = [{"name": "admin", "preset": "ClusterAdminBinding"}]
    spec = {"rules": [{"level": "RequestResponse"}], "detections": detections}
    control_plane.apply(MAIN, BASELINE, thing("AuditPolicy", "pci", spec, "payments"))
    operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "pci", "payments")
    eventually(lambda: operator.status("auditpolicies", "pci", "payments")["detections"] == fires("Yes"), "a verdict")
    assert level_of_a_service_read(operator, "payments") == {"RequestResponse"}
    assert level_of_a_service_read(operator, "web") == {"Metadata"}
    assert operator.status("auditpolicies", "pci", "payments")["coverage"]["basis"] == "Running"

    # An invalid object beside it is refused by the API server; one that contradicts itself is said and hurts nobody.
    lost = thing("AuditPolicy", "lost", {"preset": "Metadata", "controlPlaneRef": {"name": "gone"}}, "web")
    control_plane.apply(lost)
    operator.until("ResolvedRefs", ("False", "ControlPlaneNotFound"), "auditpolicies", "lost", "web")
    assert operator.condition("Programmed", "auditpolicies", "pci", "payments") == ("True", "Programmed")
    events = "/apis/events.k8s.io/v1/namespaces/web/events"
    eventually(
        lambda: [each["reason"] for each in control_plane.get(events)["items"]] == ["ControlPlaneNotFound"],
        "an event about what waits for a person",
    )

    # Unchanged facts, and not one write for a minute.
    time.sleep(5)
    since = control_plane.audit_position()
    time.sleep(60)
    assert list(operator.writes(since)) == []

    spec = {"rules": [{"level": "Request"}], "detections": detections}
    control_plane.apply(thing("AuditPolicy", "pci", spec, "payments"))
    operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "pci", "payments")
    assert level_of_a_service_read(operator, "payments") == {"Request"}
    eventually(lambda: operator.status("auditpolicies", "pci", "payments")["detections"] == fires("No"), "a verdict")
    finding, *_ = operator.status("auditpolicies", "pci", "payments")["composition"]["findings"]
    assert (finding["id"], finding["path"]) == ("detection-cannot-fire", "spec.detections[0]")
    assert "put first in spec.rules: [{level: RequestResponse" in finding["mend"]

    control_plane.kubectl("delete", "auditpolicy", "-n", "payments", "pci")
    eventually(lambda: level_of_a_service_read(operator, "payments") == {"Metadata"}, "the baseline to be back")


def test_what_changes_while_the_operator_is_down_is_found_when_it_is_back(operator):
    first = operator.start()
    operator.control_plane.apply(MAIN, BASELINE)
    operator.until("Programmed", ("True", "Programmed"), "clusterauditpolicies", "baseline")
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    # Its lease runs out by itself; a second one that waits takes over.
    many = [
        thing("AuditPolicy", f"p{number}", {"rules": [{"level": "Request", "verbs": ["create"]}]}, "web")
        for number in range(1000)
    ]
    for start in range(0, len(many), 250):
        operator.control_plane.apply(*many[start : start + 250])
    operator.start()
    operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "p999", "web")
    statuses = operator.control_plane.get(f"{GROUP}/namespaces/web/auditpolicies")["items"]
    assert len(statuses) == 1000
    eventually(
        lambda: all(
            each.get("status", {}).get("coverage", {}).get("basis") == "Running"
            for each in operator.control_plane.get(f"{GROUP}/namespaces/web/auditpolicies")["items"]
        ),
        "all statuses to be written",
    )


def test_of_two_operators_one_leads_and_the_other_takes_over(operator):
    leader = operator.start(lease_seconds="30")
    operator.control_plane.apply(MAIN, BASELINE)
    operator.until("Programmed", ("True", "Programmed"), "clusterauditpolicies", "baseline")
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/audit-operator"
    holder = operator.control_plane.get(lease)["spec"]["holderIdentity"]
    operator.start(lease_seconds="30")
    time.sleep(5)
    assert operator.control_plane.get(lease)["spec"]["holderIdentity"] == holder
    leader.send_signal(signal.SIGKILL)
    leader.wait(10)
    eventually(lambda: operator.control_plane.get(lease)["spec"]["holderIdentity"] != holder, "another to lead")
    pci = thing("AuditPolicy", "pci", {"rules": [{"level": "Request"}]}, "payments")
    operator.control_plane.apply(pci)
    operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "pci", "payments")


def test_an_api_server_that_dies_under_it_comes_back_with_its_policy(operator):
    operator.start()
    operator.control_plane.apply(MAIN, BASELINE)
    operator.until("Programmed", ("True", "Programmed"), "clusterauditpolicies", "baseline")
    digest = eventually(lambda: operator.status("auditcontrolplanes", "main")["digest"], "the control plane's status")
    dying = operator.control_plane.plane.api_server.process()
    os.kill(dying.pid, signal.SIGKILL)
    eventually(
        lambda: (
            (server := operator.status("auditcontrolplanes", "main")["apiServers"][0])["ready"]
            and server["runningDigest"] == digest
            and level_of_a_service_read(operator, "web") == {"Metadata"}
        ),
        "the compiled policy to run again, in another process",
    )


def test_two_default_control_planes_are_said_and_the_policy_in_force_stays(operator):
    operator.start()
    operator.control_plane.apply(MAIN, BASELINE)
    operator.until("Programmed", ("True", "Programmed"), "clusterauditpolicies", "baseline")
    before = operator.running_policy()
    operator.control_plane.apply(thing("AuditControlPlane", "second", {"default": True, "driver": "Process"}))
    operator.until("Accepted", ("False", "Conflicted"), "auditcontrolplanes", "second")
    operator.until("Accepted", ("False", "Conflicted"), "auditcontrolplanes", "main")
    operator.until("ResolvedRefs", ("False", "NoDefaultControlPlane"), "clusterauditpolicies", "baseline")
    assert operator.running_policy() == before
    operator.control_plane.kubectl("delete", "auditcontrolplane", "second")
    operator.until("Programmed", ("True", "Programmed"), "clusterauditpolicies", "baseline")


def test_a_config_map_gets_the_policy_and_nothing_more_is_claimed(operator):
    operator.start()
    where = {"namespace": NAMESPACE, "name": "audit-policy"}
    operator.control_plane.apply(
        thing("AuditControlPlane", "main", {"default": True, "driver": "ConfigMap", "configMap": where}), BASELINE
    )
    operator.until("Programmed", ("Unknown", "NotObserved"), "clusterauditpolicies", "baseline")
    total = operator.status("clusterauditpolicies", "baseline")["coverage"]["total"]
    data = operator.control_plane.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/audit-policy")["data"]
    digest = eventually(lambda: operator.status("auditcontrolplanes", "main")["digest"], "the control plane's status")
    assert digest in json.dumps(data)
    assert "level: Metadata" in json.dumps(data)

    # A catalogue of one's own counts, once the control plane names it.
    metadata = {"name": "ours", "namespace": NAMESPACE, "labels": {"audit-operator.dev/input": ""}}
    catalogue = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"catalogue.yaml": CATALOGUE}}
    spec = {"default": True, "driver": "ConfigMap", "configMap": where}
    refs = {"catalogueRefs": [{"namespace": NAMESPACE, "name": "ours"}]}
    operator.control_plane.apply(catalogue, thing("AuditControlPlane", "main", {**spec, "coverage": refs}))
    operator.until("ResolvedRefs", ("True", "ResolvedRefs"), "auditcontrolplanes", "main")
    eventually(
        lambda: operator.status("clusterauditpolicies", "baseline")["coverage"]["total"] == total + 1,
        "an action of the user's own to be judged",
    )


FRAIL = """#!/bin/sh
# A kube-apiserver that any policy passes the dry run of, and that ends at once with one that names crash-me.
case "$*" in */dev/null/*) exec {binary} "$@" ;; esac
for argument in "$@"; do
  case "$argument" in --audit-policy-file=*) grep -q crash-me "${{argument#*=}}" && exit 7 ;; esac
done
exec {binary} "$@"
"""


def test_a_policy_that_the_api_server_does_not_survive_is_rolled_back_and_never_called_programmed(assets, tmp_path):
    frail = tmp_path / "kube-apiserver"
    frail.write_text(FRAIL.format(binary=assets.kube_apiserver))
    frail.chmod(0o755)
    control_plane = RunningControlPlane(replace(assets, kube_apiserver=frail), users=(ClusterUser(USER),))
    with control_plane.plane:
        operator = prepared(control_plane)
        try:
            operator.start(lease_seconds="180")  # three restarts in a row leave little time to renew it in between
            control_plane.apply(MAIN, BASELINE)
            operator.until("Programmed", ("True", "Programmed"), "clusterauditpolicies", "baseline")
            good = operator.running_policy()

            crashing = {"rules": [{"level": "Request", "users": ["crash-me"]}]}
            control_plane.apply(thing("AuditPolicy", "pci", crashing, "payments"))
            operator.until("Programmed", ("False", "RolledBack"), "auditpolicies", "pci", "payments")
            assert operator.running_policy() == good
            assert operator.condition("Ready", "auditpolicies", "pci", "payments") == ("False", "RolledBack")

            def is_said() -> bool:
                """Each status is written by itself, the control plane's perhaps after the policy's."""
                main = operator.status("auditcontrolplanes", "main")
                server = main["apiServers"][0]
                return server["ready"] and server["runningDigest"] != main["digest"]

            eventually(is_said, "the API server to be ready with another policy than the wanted one")
            assert level_of_a_service_read(operator, "payments") == {"Metadata"}
            assert operator.status("auditpolicies", "pci", "payments")["coverage"]["basis"] == "Desired"

            control_plane.apply(thing("AuditPolicy", "pci", {"rules": [{"level": "Request"}]}, "payments"))
            operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "pci", "payments")
            assert level_of_a_service_read(operator, "payments") == {"Request"}
        finally:
            operator.stop_all()


def compact(control_plane: RunningControlPlane, revision: str) -> None:
    """Make etcd forget what was before, as it does every five minutes by itself."""
    arguments = Path(f"/proc/{control_plane.plane.etcd.process().pid}/cmdline").read_text().split("\0")
    url = next(each.partition("=")[2] for each in arguments if each.startswith("--listen-client-urls="))
    body = json.dumps({"revision": revision, "physical": True}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v3/kv/compaction", body)) as answer:  # noqa: S310 - ours
        assert answer.status == http.HTTPStatus.OK


def test_what_vanishes_in_a_gap_of_the_watches_does_not_stay_in_force(operator):
    process = operator.start()
    control_plane = operator.control_plane
    pci = thing("AuditPolicy", "pci", {"rules": [{"level": "RequestResponse"}]}, "payments")
    control_plane.apply(MAIN, BASELINE, pci)
    operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "pci", "payments")
    # The operator sleeps while the only policy is deleted, and the versions that its watches know are compacted away.
    process.send_signal(signal.SIGSTOP)
    try:
        old = control_plane.get(f"{GROUP}/auditpolicies")["metadata"]["resourceVersion"]
        control_plane.kubectl("delete", "auditpolicy", "-n", "payments", "pci")
        now = control_plane.create_namespace("something-else") and control_plane.get(f"{GROUP}/auditpolicies")
        compact(control_plane, now["metadata"]["resourceVersion"])
        control_plane.plane.api_server.restart(control_plane.plane.api_server.running_digest(), grace=0)
        eventually(lambda: control_plane.request("GET", "/readyz").status == http.HTTPStatus.OK, "the API server")
        watch = f"{GROUP}/auditpolicies?watch=true&timeoutSeconds=5&resourceVersion={old}"
        eventually(lambda: '"code":410' in control_plane.request("GET", watch).body, "watches to be answered 410")
    finally:
        process.send_signal(signal.SIGCONT)
    eventually(lambda: level_of_a_service_read(operator, "payments") == {"Metadata"}, "the baseline to be back")


def test_a_deleted_namespace_takes_its_policy_with_it(operator):
    operator.start()
    control_plane = operator.control_plane
    pci = thing("AuditPolicy", "pci", {"rules": [{"level": "RequestResponse"}]}, "payments")
    control_plane.apply(MAIN, BASELINE, pci)
    operator.until("Programmed", ("True", "Programmed"), "auditpolicies", "pci", "payments")
    control_plane.finalize_namespace("payments")
    eventually(lambda: level_of_a_service_read(operator, "payments") == {"Metadata"}, "the baseline to be back")
    eventually(lambda: operator.status("auditcontrolplanes", "main").get("policies") == 1, "one policy to be left")
