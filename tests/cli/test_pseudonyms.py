"""Whoever has the keys can tell what a subject is called, and who is called so among names that he knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.cli import main
from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, REGISTER_BYTES, Keyring
from audit_operator.shipping.redaction.pseudonyms import pseudonym

NOW = datetime(2026, 11, 28, tzinfo=UTC)
RING = Keyring.begun(NOW - timedelta(days=90), bytes(range(RANDOM_BYTES + REGISTER_BYTES))).rotated(
    NOW, bytes(RANDOM_BYTES)
)
OLD, NEW = (pseudonym(key, "payments", "dora") for key in RING.kept("payments"))


@pytest.fixture
def ask(tmp_path, capsys):
    (tmp_path / "keys").write_bytes(RING.encoded())
    (tmp_path / "users").write_text("eve\ndora\n\n")

    def ask(*options, keys="keys"):
        status = main(["pseudonyms", "-n", "payments", "--keyring", str(tmp_path / keys), *options])
        return status, capsys.readouterr()

    ask.users = str(tmp_path / "users")
    return ask


def test_all_pseudonyms_of_a_subject_are_printed_with_when_their_keys_came(ask):
    status, said = ask("--subject", "dora")
    assert status == 0
    assert said.out.splitlines() == [f"{OLD}  2026-08-30T00:00:00Z  dora", f"{NEW}  2026-11-28T00:00:00Z  dora"]


def test_whose_a_pseudonym_is_is_found_among_names(ask):
    status, said = ask("--among", ask.users, "--who", OLD)
    assert (status, said.out) == (0, f"{OLD}  2026-08-30T00:00:00Z  dora\n")
    assert ask("--among", ask.users, "--who", "p-00000000-" + "0" * 32)[0] == 1


def test_where_there_are_no_keys_that_is_said(ask):
    status, said = ask("--subject", "dora", keys="none")
    assert status == 1
    assert "there are no keys" in said.err
    assert ask("--subject", "dora", keys="users")[0] == 2
