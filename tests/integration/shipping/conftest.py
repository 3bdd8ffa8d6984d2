"""Shows at the end of a run what became of the events in each situation: figures that no test asserts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
