"""Pages in a real Chromium. `make test-integration` installs it where it may; elsewhere these tests are skipped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import NAMES, Chromium, chromium

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def browser() -> Iterator[Chromium]:
    if chromium() is None:
        pytest.skip(f"none of {', '.join(NAMES)} is on PATH; python -m tests.integration.binaries says why")
    with Chromium() as running:
        yield running
