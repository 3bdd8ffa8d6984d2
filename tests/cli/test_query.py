"""`query` as its user sees it."""

import json
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.cli import main, query
from audit_operator.cli.records import Printer
from tests.cli.one_answer import OneAnswer
from tests.ports import free_ports

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


class Followed:
    """A source that has these pieces, up to a number of questions; and a printer that keeps what it gets."""

    def __init__(self, pieces, questions=4):
        self.pieces, self.left, self.limits, self.shown = pieces, questions, [], []

    async def ask(self, window):
        self.left -= 1
        self.limits.append(int(window["limit"]))
        if self.left < 0:
            raise Enough
        found = [each for each in self.pieces if window["since"].endswith("s") or each["time"] >= window["since"]]
        for each in found[: self.limits[-1]]:
            yield each
        yield {"end": {"records": 0, "copies": 0, "complete": len(found) <= self.limits[-1]}}

    def record(self, piece):
        self.shown.append(piece["text"])

    async def run(self):
        with suppress(Enough):
            return await query._follow(self.ask, {"since": "9s"}, self)


class Enough(Exception):  # noqa: N818  # no failure
    pass


def piece(text, *, later=0.0, **attributes):
    time = (datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=later)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"time": time, "auditID": "", "stage": "", "attributes": {"namespace": "p", **attributes}, "text": text}


@pytest.fixture
def _at_once(monkeypatch):
    async def sleep(_seconds):
        return None

    monkeypatch.setattr("audit_operator.cli.query.asyncio.sleep", sleep)


@pytest.mark.usefixtures("_at_once")
async def test_the_same_line_of_two_containers_or_clusters_is_shown_twice():
    followed = Followed(
        [piece("started", stream="a"), piece("started", stream="b"), piece("started", stream="b", cluster="c")]
    )
    await followed.run()
    assert followed.shown == ["started"] * 3


@pytest.mark.usefixtures("_at_once")
async def test_many_records_of_one_moment_are_followed_and_too_many_are_said(capsys):
    many = Followed([*(piece(f"{number}") for number in range(1200)), piece("last", later=1.0)])
    await many.run()
    assert (len(many.shown), many.shown[-1]) == (1201, "last")
    assert many.limits[:3] == [1000, 1000, 10000]
    too_many = Followed([piece(f"{number}") for number in range(10_001)], 99)
    assert await too_many.run() == 1
    assert "more than 10000 records of one moment" in capsys.readouterr().err


async def test_from_when_on_a_namespace_was_read_is_said(capsys):
    async def source(_asked):
        yield {"end": {"records": 0, "complete": True, "from": {"payments": "2026-03-01T00:00:00.000000Z"}}}

    assert await query._print(source, {}, Printer("table")) == 0
    assert "payments: only what is from 2026-03-01T00:00:00.000000Z or later" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["query", "--follow"], ["tail"]])
def test_following_shows_each_record_once(command, store, monkeypatch, capsys):
    def sleep(_seconds):
        if len(store.queries) >= 3:
            raise KeyboardInterrupt
        store.rows = [row(2), row(1)]
        return done()

    async def done():
        return None

    monkeypatch.setattr("audit_operator.cli.query.asyncio.sleep", sleep)
    # The rows are as old as this module was imported, and the store gives them whatever it is asked for.
    monkeypatch.setattr("audit_operator.cli.query._LATE", timedelta(days=1))
    store.rows = [row(2)]
    assert main([*command, "-f", str(store.sink), "-n", "payments", "--since", "1d"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert threading.active_count() < 10


@pytest.mark.parametrize(
    ("code", "colour"), [("200", ""), ("403", "\x1b[33m"), ("500", "\x1b[31m"), ("", ""), ("ok", "")]
)
def test_on_a_terminal_what_was_refused_and_what_failed_are_coloured(code, colour, monkeypatch, capsys):
    monkeypatch.delenv("NO_COLOR", raising=False)
    record = {"time": "2026-11-28T07:00:00.000000Z", "attributes": {"code": code}}
    Printer("table").record(record)
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    Printer("table").record(record)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith(colour or "2026")
    assert line.endswith("\x1b[0m") is bool(colour)
    monkeypatch.setenv("NO_COLOR", "1")
    Printer("table").record(record)
    assert "\x1b" not in capsys.readouterr().out
