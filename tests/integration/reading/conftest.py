"""One world for all tests of a file: an API server, a VictoriaLogs, a reader between them, tenants."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest

from tests.integration.gateway.pki import Authority
from tests.integration.reading.world import (
    READ_RECORDS,
    READER,
    READERS_RIGHTS,
    ROLE,
    RunningReader,
    binding,
    cluster_role,
    kubeconfig,
    service_account,
    sink_file,
    token,
)
from tests.integration.shipping.victoria_logs import victoria_logs


@pytest.fixture(scope="module")
def world(control_plane, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    suffix = uuid.uuid4().hex[:6]
    home = control_plane.create_namespace(f"reader-{suffix}")
    control_plane.apply(
        cluster_role(ROLE, [READ_RECORDS]),
        cluster_role(READER, READERS_RIGHTS),
        service_account(home, READER),
        binding(READER, (home, READER)),
    )
    with (
        victoria_logs(folder) as url,
        RunningReader(
            kubeconfig(control_plane, folder / "kubeconfig", token(control_plane, home, READER)),
            sink_file(folder / "sink.yaml", url),
            Authority(folder / "pki"),
        ) as reader,
    ):
        yield SimpleNamespace(
            control_plane=control_plane, folder=folder, suffix=suffix, home=home, store=url, reader=reader, made=[]
        )
    for kind, name in (
        ("clusterrolebinding", f"{READER}-{home}-{READER}"),
        ("clusterrole", ROLE),
        ("clusterrole", READER),
    ):
        control_plane.kubectl("delete", kind, name)
    control_plane.finalize_namespace(home)
