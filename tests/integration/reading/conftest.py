"""One world for all tests of a file: an API server, a VictoriaLogs, a reader between them, tenants."""

from __future__ import annotations

import pytest

from tests.integration.reading.world import reading
from tests.integration.shipping.victoria_logs import victoria_logs


@pytest.fixture(scope="module")
def world(control_plane, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    with (
        victoria_logs(folder) as url,
        reading(control_plane, folder, url, {"type": "VictoriaLogs", "victoriaLogs": {"url": url}}) as made,
    ):
        yield made
