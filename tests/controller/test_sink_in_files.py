"""A reader's sink is a file, and its Secrets are folders."""

import json

import pytest

from audit_operator.controller.sink_in_files import SinkInFiles
from audit_operator.sinks import Failure, Reason

SPEC = {
    "type": "VictoriaLogs",
    "victoriaLogs": {"url": "http://127.0.0.1:1"},
    "credentials": {"type": "Bearer", "secretRef": {"namespace": "audit", "name": "store"}},
}


@pytest.fixture
def sink(tmp_path):
    write(tmp_path, SPEC, "one")
    time = [0.0]
    made = SinkInFiles(tmp_path / "sink.yaml", tmp_path / "secrets", lambda: time[0])
    return made, tmp_path, time


def write(folder, spec, token):
    document = {"apiVersion": "audit-operator.dev/v1alpha1", "kind": "ClusterAuditSink", "metadata": {"name": "x"}}
    (folder / "sink.yaml").write_text(json.dumps({**document, "spec": spec}))
    secret = folder / "secrets" / "store"
    (secret / "..data").mkdir(parents=True, exist_ok=True)
    (secret / "token").write_text(token)


def authorization(store):
    return store.endpoint.connection.headers["Authorization"]


async def test_it_stays_open_and_takes_what_is_renewed(sink):
    files, folder, time = sink
    first = await files.store()
    assert authorization(first) == "Bearer one"
    write(folder, SPEC, "two")
    assert await files.store() is first
    time[0] = 5.0
    assert authorization(await files.store()) == "Bearer two"
    time[0] = 10.0
    assert authorization(await files.store()) == "Bearer two"


@pytest.mark.parametrize("text", [None, "", "[]", "kind: AuditSink", "\0", "a: [", '{"kind": "ClusterAuditSink"}'])
async def test_what_is_no_sink_is_said(sink, text):
    files, folder, _ = sink
    (folder / "sink.yaml").unlink()
    if text is not None:
        (folder / "sink.yaml").write_text(text)
    assert isinstance(await files.store(), Failure)


async def test_a_secret_that_is_not_mounted_is_said_and_found_when_it_is(sink):
    files, folder, _ = sink
    (folder / "secrets" / "store").rename(folder / "away")
    assert (await files.store()).reason is Reason.SECRET_UNREADABLE
    assert "not mounted" in files.complaint
    (folder / "away").rename(folder / "secrets" / "store")
    assert authorization(await files.store()) == "Bearer one"
    assert files.complaint == ""
