"""An operator that may do everything, and namespaces whose records it sees to."""

from __future__ import annotations

import pytest

from tests.integration.conftest import prepare_for_operator
from tests.integration.control_plane import ClusterUser
from tests.integration.operator_process import USER, OperatorProcess


@pytest.fixture
def operator(private_control_plane):
    control_plane = private_control_plane(users=(ClusterUser(USER),))
    prepare_for_operator(control_plane, "payments", "web")
    operator = OperatorProcess(control_plane)
    yield operator
    operator.stop_all()
