"""`sinks check`: what each store answers, in a table or as JSON, and an exit status that can be relied on."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager

import pytest
import yaml

from audit_operator.api.references import ADDRESS_ANNOTATION
from audit_operator.cli import main
from tests.sinks.fake_store import serving


@contextmanager
def running():
    """A store in a thread of its own: the command has an event loop of its own, too."""
    ready, end, made = threading.Event(), asyncio.Event(), []

    async def serve():
        async with serving() as store:
            made.append((store, asyncio.get_running_loop()))
            ready.set()
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait(10)
    store, loop = made[0]
    try:
        yield store
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)


@pytest.fixture
def store():
    with running() as made:
        yield made


def sink(url, name="own", kind="AuditSink", type_="VictoriaLogs", **spec):
    section = {"VictoriaLogs": "victoriaLogs", "OTLP": "otlp"}[type_]
    address = "endpoint" if type_ == "OTLP" else "url"
    metadata = {"name": name, **({"namespace": "payments"} if kind == "AuditSink" else {})}
    content = {"type": type_, section: {address: url}, **spec}
    return {"apiVersion": "audit-operator.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": content}


@pytest.fixture
def check(tmp_path, capsys):
    def check(*objects, options=()):
        (tmp_path / "objects.yaml").write_text(yaml.safe_dump_all(objects))
        status = main(["sinks", "check", "-f", str(tmp_path / "objects.yaml"), *options])
        said = capsys.readouterr()
        return status, said.out, said.err

    return check


def test_a_store_that_answers_is_reached_and_nothing_is_written(check, store):
    status, said, _ = check(sink(store.url))
    assert status == 0
    assert said.splitlines()[1].split()[:5] == ["AuditSink", "payments/own", "VictoriaLogs", "yes", "-"]
    assert all(not each.body for each in store.asked)


def test_a_store_that_refuses_is_said_with_the_mend_and_fails(check, store):
    store.status = 401
    status, said, _ = check(sink(store.url), options=["--write-read"])
    assert status == 1
    assert "HTTP status 401 (check what the Secret" in said
    assert [each.path for each in store.asked] == ["/insert/opentelemetry/v1/logs"]


def test_a_record_that_is_taken_and_not_there_is_a_failure(check, store):
    store.answers["/select/logsql/query"] = (200, b"")
    status, said, _ = check(sink(store.url), options=["--write-read", "--timeout", "0.1"])
    assert status == 1
    assert said.splitlines()[1].split()[3:6] == ["yes", "yes", "no"]
    assert "is not there after 0.1 s" in said


def test_what_cannot_be_tried_with_a_store_is_no_failure(check, store):
    status, said, _ = check(sink(store.url, type_="OTLP"), options=["--write-read", "-o", "json"])
    [tried] = json.loads(said)
    assert (status, tried["ok"]) == (0, True)
    assert [(each["step"], each["result"]) for each in tried["steps"]] == [
        ("reached", "yes"),
        ("written", "yes"),
        ("read back", "unsupported"),
    ]


def test_secrets_are_read_from_files_and_shown_nowhere(check, store):
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "token", "namespace": "payments", "annotations": {ADDRESS_ANNOTATION: store.url}},
        "stringData": {"token": "s3cret"},
    }
    guarded = sink(store.url, credentials={"type": "Bearer", "secretRef": {"name": "token"}})
    status, said, err = check(guarded, secret)
    assert status == 0
    assert store.asked[0].headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in said + err


def test_a_secret_that_is_missing_is_named(check, store):
    guarded = sink(store.url, credentials={"type": "Bearer", "secretRef": {"name": "token"}})
    status, said, _ = check(guarded)
    assert status == 1
    assert "Secret payments/token is in no file" in said


def test_only_those_that_are_named_are_tried(check, store):
    both = sink(store.url), sink("http://127.0.0.1:1", "central", "ClusterAuditSink")
    assert check(*both, options=["payments/own"])[0] == 0
    assert check(*both, options=["central"])[0] == 1
    status, _, err = check(*both, options=["elsewhere"])
    assert status == 2
    assert "there are: central, payments/own" in err


def test_without_a_sink_there_is_nothing_to_try(check):
    assert check({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})[0] == 2
