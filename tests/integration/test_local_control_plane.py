from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audit_operator.controlplane.local_control_plane import METADATA_FOR_ALL
from audit_operator.controlplane.os_process import identify

REQUEST_FOR_CONFIGMAPS = """\
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Request
  resources: [{group: "", resources: [configmaps]}]
"""


def test_a_request_is_recorded_by_the_time_its_answer_is_read(control_plane, namespace):
    response = control_plane.request("GET", f"/api/v1/namespaces/{namespace}/secrets")
    [event] = control_plane.audit_events(response.audit_id)
    assert (event["level"], event["verb"], event["user"]["username"]) == ("Metadata", "list", "admin")


def test_rbac_is_on_and_users_are_told_apart_by_token(control_plane, namespace):
    path = f"/api/v1/namespaces/{namespace}/secrets"
    assert control_plane.request("GET", path, user="alice").status == 403
    assert control_plane.request("GET", path, token="wrong").status == 401
    assert control_plane.request("GET", path, user=None).status == 401
    assert control_plane.request("GET", "/readyz", user=None).status == 200


def test_kubectl_works_for_every_user(control_plane, namespace):
    assert (
        control_plane.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}", user="bob").stdout
        == "bob"
    )
    control_plane.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": namespace}})
    assert control_plane.get(f"/api/v1/namespaces/{namespace}/configmaps/x")["metadata"]["name"] == "x"


def test_another_audit_policy_takes_effect_and_is_taken_back(control_plane, namespace):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "y"}}
    with control_plane.audit_policy(REQUEST_FOR_CONFIGMAPS) as digest:
        assert control_plane.plane.api_server.running_digest() == digest
        created = control_plane.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", body)
        unrecorded = control_plane.request("GET", f"/api/v1/namespaces/{namespace}/secrets")
    assert {event["level"] for event in control_plane.audit_events(created.audit_id)} == {"Request"}
    assert control_plane.audit_events(unrecorded.audit_id) == []
    assert control_plane.plane.api_server.has_policy(control_plane.plane.api_server.running_digest())


def test_a_finalized_namespace_is_gone(control_plane):
    name = control_plane.create_namespace()
    control_plane.finalize_namespace(name)
    assert control_plane.request("GET", f"/api/v1/namespaces/{name}").status == 404


def test_two_control_planes_live_side_by_side_and_leave_nothing(private_control_plane):
    one, two = private_control_plane(), private_control_plane()
    assert one.url != two.url
    processes = [
        process for each in (one, two) for process in (each.plane.api_server.process(), each.plane.etcd.process())
    ]
    one.create_namespace("only-here")
    assert two.request("GET", "/api/v1/namespaces/only-here").status == 404
    for each in (one, two):
        each.plane.stop()
        assert not each.plane.folder.exists()
    assert [identify(process.pid) == process for process in processes] == [False] * 4


OWNER = """
import sys, time
from audit_operator.controlplane.assets import provide
import pytest
from audit_operator.controlplane.local_control_plane import LocalControlPlane
plane = LocalControlPlane(provide()).start()
print(plane.folder, plane.api_server.process().pid, plane.etcd.process().pid, flush=True)
time.sleep(600)
"""


@pytest.mark.usefixtures("assets")
def test_nothing_survives_an_owner_that_is_killed():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    owner = subprocess.Popen(  # noqa: S603  # ourselves
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, env=environment
    )
    with owner:
        folder, *pids = owner.stdout.readline().split()
        processes = [identify(int(pid)) for pid in pids]
        owner.send_signal(signal.SIGKILL)
    while any(identify(process.pid) == process for process in processes) or Path(folder).exists():
        time.sleep(0.05)


def test_the_policy_is_not_proved_once_its_file_was_touched(private_control_plane):
    server = private_control_plane().plane.api_server
    digest = server.running_digest()
    path = server.policy_path(digest)
    path.write_text("something else")
    path.write_text(METADATA_FOR_ALL)
    assert server.has_policy(digest)
    assert server.running_digest() == ""
