"""`seal` and `verify`: what they say, and exit statuses that can be relied on."""

from __future__ import annotations

import json
import re
import stat

import pytest
import yaml

from audit_operator.cli import main
from tests.cli.test_sinks import running, sink
from tests.folders import lock


@pytest.fixture
def store():
    with running() as made:
        yield made


@pytest.fixture
def command(tmp_path, capsys):
    """Runs one, with a key and a folder for seals; gives status, output and error output."""
    key = tmp_path / "seal.pem"
    assert main(["seal", "--new-key", str(key)]) == 0
    own = {"seal": ["--key", str(key)], "verify": ["--public-key", f"{key}.pub"]}

    def command(name, *options, objects=None, given=None):
        if objects is not None:
            (tmp_path / "sinks.yaml").write_text(yaml.safe_dump_all(objects))
        capsys.readouterr()
        keys = own[name] if given is None else given
        place = [] if "--seals-sink" in options else ["--seals", str(tmp_path / "seals")]
        status = main([name, "-f", str(tmp_path / "sinks.yaml"), *keys, *place, *options])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


def test_a_new_key_is_readable_by_nobody_else_and_never_replaced(tmp_path, capsys):
    key = tmp_path / "seal.pem"
    assert main(["seal", "--new-key", str(key)]) == 0
    made = capsys.readouterr().out
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "PRIVATE" not in made + (tmp_path / "seal.pem.pub").read_text()
    content = key.read_bytes()
    assert main(["seal", "--new-key", str(key)]) == 2
    assert key.read_bytes() == content
    public = (tmp_path / "seal.pem.pub").read_bytes()
    key.rename(tmp_path / "elsewhere.pem")
    assert main(["seal", "--new-key", str(key)]) == 2
    assert ((tmp_path / "seal.pem.pub").read_bytes(), key.exists()) == (public, False)
    (tmp_path / "seal.pem.pub").unlink()
    (tmp_path / "elsewhere.pem").rename(key)
    assert main(["seal", "--new-key", str(key)]) == 2
    assert (key.read_bytes(), (tmp_path / "seal.pem.pub").exists()) == (content, False)


def test_what_is_over_is_sealed_once_and_is_then_as_sealed(command, store):
    status, said, _ = command("seal", "payments/own", "--new-chain", "--since", "4h", objects=[sink(store.url)])
    assert status == 0
    assert [line.split(": ")[1] for line in said.splitlines()] == [f"0 records, seal {n}" for n in (1, 2, 3)]
    status, said, _ = command("verify", "payments/own")
    last = said.splitlines()[-1]
    assert status == 0
    assert re.fullmatch(
        r"AuditSink/payments/own: as sealed \(3 seals, 3 intervals from 20\S+ to 20\S+, 0 records, 0 findings\)", last
    )


def test_where_all_seals_were_deleted_no_chain_begins_anew(command, store, tmp_path):
    command("seal", "payments/own", "--new-chain", objects=[sink(store.url)])
    for each in (tmp_path / "seals").rglob("*.json"):
        each.unlink()
    status, said, error = command("seal", "payments/own")
    assert (status, said) == (1, "")
    assert "no seal to go on from" in error
    assert not list((tmp_path / "seals").rglob("*.json"))


def test_to_have_compared_nothing_is_no_success(command, store):
    command("seal", "payments/own", "--new-chain", objects=[sink(store.url)])
    status, said, _ = command("verify", "payments/own", "--since", "1m")
    assert (status, "NOTHING was compared" in said) == (1, True)
    assert json.loads(command("verify", "payments/own", "--since", "1m", "-o", "json")[1])["since"] is None


def test_a_finding_is_said_with_its_place_and_the_mend(command, store, tmp_path):
    command("seal", "payments/own", "--new-chain", "--since", "4h", objects=[sink(store.url)])
    next(tmp_path.rglob("000000000002.json")).unlink()
    status, said, _ = command("verify", "payments/own")
    assert status == 1
    [missing] = [line for line in said.splitlines() if line.startswith("error")]
    assert "error: seal-missing: 20" in missing
    assert "seal 2 is missing; there is nothing that covers" in missing
    assert "restore the seal" in missing
    assert "NOT as sealed" in said
    status, said, _ = command("verify", "payments/own", "-o", "json")
    document = json.loads(said)
    assert (document["ok"], document["failure"]) == (False, None)
    assert [each["id"] for each in document["findings"] if each["severity"] == "Error"] == ["seal-missing"]


def test_what_a_forged_seal_says_cannot_speak_to_the_terminal(command, store, tmp_path):
    command("seal", "payments/own", "--new-chain", "--cluster", "a\x1b[2Jb", objects=[sink(store.url)])
    held = next(tmp_path.rglob("000000000001.json"))
    place = tmp_path / "seals" / "sink=AuditSink" / "payments" / "own"
    (place / held.name).write_bytes(held.read_bytes())
    status, said, _ = command("verify", "payments/own")
    assert status == 1
    assert "seal-misplaced" in said
    assert "\x1b" not in said


def test_a_store_that_fails_is_neither_success_nor_a_finding(command, store):
    command("seal", "payments/own", "--new-chain", objects=[sink(store.url)])
    store.status = 503
    status, said, error = command("verify", "payments/own")
    assert (status, "not verified whole" in said) == (1, True)
    assert "HTTP status 503" in error
    status, said, _ = command("seal", "payments/own", "-o", "json", "--lateness", "1m", "--interval", "1m")
    assert (status, json.loads(said)["failure"]["reason"]) == (1, "StoreFailed")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("seal", ("nowhere",), "there is no sink nowhere"),
        ("seal", (), "name the sink"),
        ("seal", ("payments/otlp",), "out of VictoriaLogs, Loki, OpenSearch, Elasticsearch, S3 and files alone"),
        ("seal", ("payments/own", "--seals-sink", "payments/otlp"), "seals are kept in sinks of type S3"),
        ("verify", ("payments/own", "--seals-sink", "payments/own"), "seals are kept in sinks of type S3"),
        (
            "verify",
            ("payments/own", "--erasures", "/nowhere/at/all", "--erasure-key", "/nowhere/key"),
            "there is no such folder",
        ),
    ],
)
def test_what_cannot_be_done_is_said(command, store, name, options, message):
    both = [sink(store.url), sink(store.url, "otlp", type_="OTLP")]
    status, _, error = command(name, *options, objects=both)
    assert status == 2
    assert message in error


def test_warrants_that_cannot_be_listed_are_not_taken_for_none(command, store, tmp_path, monkeypatch):
    (tmp_path / "warrants").mkdir()
    lock(tmp_path / "warrants", monkeypatch)
    options = ("--erasures", str(tmp_path / "warrants"), "--erasure-key", f"{tmp_path / 'seal.pem'}.pub")
    status, _, error = command("verify", "payments/own", *options, objects=[sink(store.url)])
    assert (status, "warrants: Permission denied" in error) == (2, True)


def test_keys_are_needed_and_must_be_such(command, store, tmp_path):
    (tmp_path / "no.pem").write_text("s3cret")
    wrong, missing = str(tmp_path / "no.pem"), str(tmp_path / "missing.pem")
    command("seal", "payments/own", "--new-chain", objects=[sink(store.url)])
    for name, given, message in (
        ("seal", [], "--key FILE"),
        ("seal", ["--key", wrong], "not a private key"),
        ("seal", ["--key", missing], "cannot read"),
        ("seal", ["--key", f"{tmp_path / 'seal.pem'}.pub"], "not a private key"),
        ("verify", [], "--public-key FILE"),
        ("verify", ["--public-key", wrong], "not a public key"),
    ):
        status, said, error = command(name, "payments/own", given=given)
        assert (status, message in error) == (2, True), error
        assert "s3cret" not in said + error


def test_without_a_place_for_seals_that_is_said(store, tmp_path, capsys):
    (tmp_path / "sinks.yaml").write_text(yaml.safe_dump(sink(store.url)))
    main(["seal", "--new-key", str(tmp_path / "k")])
    assert main(["seal", "payments/own", "-f", str(tmp_path / "sinks.yaml"), "--key", str(tmp_path / "k")]) == 2
    assert "--seals FOLDER or --seals-sink NAME" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--since", "yesterday"), ("--since", "2026-11-28T10:00:00"), ("--lateness", "1w")])
def test_times_that_are_none_are_refused(command, option):
    with pytest.raises(SystemExit) as left:
        command("seal", "payments/own", *option)
    assert left.value.code == 2
