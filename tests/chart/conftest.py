"""Helm 3 and Helm 4, and a real API server for what is only true there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chart.helm import VERSIONS, Helm, provide
from tests.integration.conftest import assets, control_plane, private_control_plane  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def provide_helm(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Helm]:
    return lambda version: provide(VERSIONS[version], tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session", params=VERSIONS)
def either_helm(request: pytest.FixtureRequest, provide_helm: Callable[[str], Helm]) -> Helm:
    return provide_helm(request.param)


@pytest.fixture(scope="session")
def helm(provide_helm: Callable[[str], Helm]) -> Helm:
    return provide_helm("Helm 4")
