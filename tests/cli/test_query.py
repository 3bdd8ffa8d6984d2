"""`query` as its user sees it."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.cli import main
from audit_operator.cli.records import Printer
from audit_operator.controlplane.ports import free_ports
from tests.cli.one_answer import OneAnswer

NOW = datetime.now(UTC)


def row(number, **more):
    time = (NOW - timedelta(seconds=number)).isoformat()
    own = {"_time": time, "_msg": f'{{"n": {number}}}', "auditID": f"id-{number}", "stage": "ResponseComplete"}
    return {**own, "namespace": "payments", "username": "jane", "verb": "delete", "resource": "secrets", **more}


@pytest.fixture
def store(tmp_path):
    with OneAnswer() as server:
        sink = {
            "apiVersion": "audit-operator.dev/v1alpha1",
            "kind": "ClusterAuditSink",
            "metadata": {"name": "central"},
            "spec": {"type": "VictoriaLogs", "victoriaLogs": {"url": server.url}},
        }
        server.sink = tmp_path / "sink.json"
        server.sink.write_text(json.dumps(sink))
        yield server


def asked(store, *arguments):
    return main(["query", "-f", str(store.sink), "-n", "payments", *arguments])


def test_records_are_a_table_newest_first(store, capsys):
    store.rows = [row(1, name="a", code="200"), row(2, subresource="x")]
    assert asked(store) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["TIME", "NAMESPACE", "USER", "VERB", "RESOURCE", "NAME", "CODE"]
    assert first.split()[1:] == ["payments", "jane", "delete", "secrets", "a", "200"]
    assert second.split()[4] == "secrets/x"


def test_what_is_asked_reaches_the_store_as_a_query_of_literals(store, capsys):
    arguments = "--user jane --verb delete --resource pods/exec --code 403 --contains x --limit 5 --order oldest"
    assert asked(store, *arguments.split()) == 0
    assert 'username:="jane" verb:="delete" resource:="pods" subresource:="exec" code:="403"' in store.queries[0]
    assert store.queries[0].endswith("| sort by (_time) limit 6")
    assert "No records." in capsys.readouterr().err


def test_json_has_events_and_lines_have_their_text_and_an_end(store, capsys):
    store.rows = [row(1), row(2, _msg="no json")]
    assert asked(store, "-o", "json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["event"], second["text"]) == ({"n": 1}, "no json")
    assert asked(store, "-o", "ndjson") == 0
    lines = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert lines[0]["text"] == '{"n": 1}'
    assert lines[-1] == {"end": {"records": 2, "copies": 0, "complete": True}}


def test_more_than_were_asked_for_is_said(store, capsys):
    store.rows = [row(1), row(2)]
    assert asked(store, "--limit", "1") == 0
    assert "There are more" in capsys.readouterr().err


def test_an_answer_that_is_not_whole_is_said_and_fails(store, capsys):
    store.rows = [row(1), row(2, namespace="shop")]
    assert asked(store) == 1
    said = capsys.readouterr()
    assert "not whole" in said.err
    assert "id-2" not in said.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-n", "*"], "namespace must be names"),
        (["--since", "yesterday"], "since must be a time like"),
        (["--limit", "many"], "limit must be a number"),
        (["--sink", "other"], "there are: central"),
        (["--follow", "--until", "1h"], "leave out --until"),
    ],
)
def test_what_is_no_question_is_wrong_usage(store, capsys, arguments, said):
    assert asked(store, *arguments) == 2
    assert said in capsys.readouterr().err
    assert not store.queries


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--server", "http://127.0.0.1:1"], "https://HOST:PORT"),
        (["--server", "https://127.0.0.1:1?x"], "https://HOST:PORT"),
        (["--server", "https://127.0.0.1:1", "--ca", "/nowhere"], "cannot be used"),
        (["--server", "https://127.0.0.1:1", "--sink", "central"], "give one of them"),
        (["--ca", "x"], "belong to --server"),
    ],
)
def test_a_token_goes_to_a_reader_alone(tmp_path, capsys, arguments, said):
    (tmp_path / "token").write_text("secret-token")
    by_file = [] if "--ca" in arguments[:1] else ["--token-file", str(tmp_path / "token")]
    assert main(["query", "-n", "payments", *arguments, *by_file]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "secret-token" not in err


def test_a_reader_that_is_away_is_said(tmp_path, capsys):
    (tmp_path / "token").write_text("x")
    arguments = ["--server", f"https://127.0.0.1:{next(free_ports())}", "--token-file", str(tmp_path / "token")]
    assert main(["query", "-n", "payments", *arguments]) == 1
    assert "the reader cannot be asked" in capsys.readouterr().err


def test_a_terminal_obeys_no_name(capsys):
    Printer("table").record({"time": NOW.isoformat(), "attributes": {"username": "\x1b]0;x\x07\u202e", "name": "a\nb"}})
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x07\u202e")
    assert len(out.splitlines()) == 2


def test_following_shows_each_record_once(store, monkeypatch, capsys):
    def sleep(_seconds):
        if len(store.queries) >= 3:
            raise KeyboardInterrupt
        store.rows = [row(2), row(1)]
        return done()

    async def done():
        return None

    monkeypatch.setattr("audit_operator.cli.query.asyncio.sleep", sleep)
    store.rows = [row(2)]
    assert asked(store, "--follow", "--since", "1m") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert threading.active_count() < 10
