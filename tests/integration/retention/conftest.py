"""An operator that may do everything, and namespaces whose records it sees to."""

from __future__ import annotations

import pytest

from tests.integration.conftest import install_crds
from tests.integration.control_plane import ClusterUser
from tests.integration.operator_process import NAMESPACE, USER, OperatorProcess


@pytest.fixture
def operator(private_control_plane):
    control_plane = private_control_plane(users=(ClusterUser(USER),))
    install_crds(control_plane)
    for namespace in (NAMESPACE, "payments", "web"):
        control_plane.create_namespace(namespace)
    control_plane.kubectl("create", "clusterrolebinding", USER, "--clusterrole=cluster-admin", f"--user={USER}")
    operator = OperatorProcess(control_plane)
    yield operator
    operator.stop_all()
