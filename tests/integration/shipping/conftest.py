"""Shows at the end of a run what became of the events in each situation: figures that no test asserts. And seals."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import yaml

from audit_operator.cli import main
from tests.integration.shipping.seaweedfs import KEY

if TYPE_CHECKING:
    from tests.integration.shipping.delivery import Outcome

OUTCOMES = pytest.StashKey[dict[str, "Outcome"]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    outcomes = config.stash.get(OUTCOMES, {})
    if not outcomes:
        return
    terminalreporter.section("events that went through the shipper")
    terminalreporter.write_line(f"{'situation':50} {'events':>8} {'missing':>8} {'twice':>8} {'seconds':>8}  remark")
    for name, each in outcomes.items():
        figures = f"{each.events:>8} {each.missing:>8} {each.duplicates:>8} {each.seconds:>8.0f}"
        terminalreporter.write_line(f"{name.replace('_', ' '):50} {figures}  {each.remark}")


@pytest.fixture
def commands(tmp_path, capsys):
    """Both commands about sinks, with a key of their own."""
    key = tmp_path / "seal.pem"
    assert main(["seal", "--new-key", str(key)]) == 0

    def ask(command, *options, place=("--seals", str(tmp_path / "seals"))):
        capsys.readouterr()
        status = main([command, "central", "-f", str(tmp_path / "sinks.yaml"), "-o", "json", *place, *options])
        said = capsys.readouterr()
        assert KEY not in said.out + said.err
        return SimpleNamespace(status=status, **json.loads(said.out))

    return SimpleNamespace(
        of=lambda *objects: (tmp_path / "sinks.yaml").write_text(yaml.safe_dump_all(objects)),
        seal=lambda *options, **more: ask("seal", "--key", str(key), *options, **more),
        verify=lambda *options, **more: ask("verify", "--public-key", f"{key}.pub", *options, **more),
    )
