"""Real processes for tests: etcd, kube-apiserver and kubectl.

    def test_something(control_plane, namespace):
        path = f"/api/v1/namespaces/{namespace}/secrets"
        response = control_plane.request("GET", path, user="alice")
        [event] = control_plane.audit_events(response.audit_id)
        assert (response.status, event["level"]) == (403, "Metadata")

* `control_plane`: one for the whole session, with the audit policy METADATA_FOR_ALL; up in 3 s. control_plane.py shows
  what it can do: `kubectl`, `apply`, `get`, `request`, `audit_events`, `kubeconfig`. Whoever needs another audit
  policy runs `with control_plane.audit_policy(text):`, a restart of 2 s before and one after: group tests by policy.
  Leave nothing behind that others would notice; what is cluster-scoped, the test itself deletes.
* `namespace`: a namespace for this one test.
* `private_control_plane`: makes control planes for this one test, for those that kill things:
  `mine = private_control_plane()`. It takes the settings of LocalControlPlane.
* `crds`: the CustomResourceDefinitions in crds/ are installed in `control_plane`; `install_crds(mine)` does it in a
  private one, and `prepare_for_operator(mine, "payments")` besides what an operator needs that may do everything.
* `assets`: where the binaries are; `older_api_server`: a kube-apiserver of a minor that knows less.

Every test in this folder has the marker `integration`. Nothing is skipped where a binary is missing: the assets are
then provided, which takes minutes once, or the tests fail and say why.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from audit_operator.controlplane.assets import Assets, provide, provide_one
from tests.integration.binaries import OLDER_API_SERVER
from tests.integration.control_plane import RunningControlPlane
from tests.integration.operator_process import NAMESPACE, USER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
"""The last minor before `group: "*"`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def assets() -> Assets:
    return provide()


@pytest.fixture(scope="session")
def older_api_server() -> Path:
    return provide_one(OLDER_API_SERVER)


@pytest.fixture(scope="session")
def control_plane(assets: Assets) -> Iterator[RunningControlPlane]:
    shared = RunningControlPlane(assets)
    with shared.plane:
        yield shared


@pytest.fixture
def namespace(control_plane: RunningControlPlane) -> Iterator[str]:
    name = control_plane.create_namespace()
    yield name
    control_plane.finalize_namespace(name)


@pytest.fixture
def private_control_plane(assets: Assets) -> Iterator[Callable[..., RunningControlPlane]]:
    started: list[RunningControlPlane] = []

    def start(**settings: Any) -> RunningControlPlane:
        mine = RunningControlPlane(assets, **settings)
        mine.plane.start()
        started.append(mine)
        return mine

    yield start
    for each in started:
        each.plane.stop()


def install_crds(control_plane: RunningControlPlane) -> None:
    control_plane.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(ROOT / "crds"))


def prepare_for_operator(control_plane: RunningControlPlane, *namespaces: str) -> None:
    """What an operator finds that may do everything: its kinds, its own namespace, and others."""
    install_crds(control_plane)
    for each in (NAMESPACE, *namespaces):
        control_plane.create_namespace(each)
    control_plane.kubectl("create", "clusterrolebinding", USER, "--clusterrole=cluster-admin", f"--user={USER}")


@pytest.fixture(scope="session")
def crds(control_plane: RunningControlPlane) -> None:
    install_crds(control_plane)
