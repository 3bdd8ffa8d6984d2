"""The operator on a real API server: cold start, one change, memory; beside the raw rate of status patches."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit_operator.cluster.connection import connect
from audit_operator.cluster.resources import AUDIT_POLICY
from audit_operator.cluster.rest import RestClient
from audit_operator.controlplane.assets import provide
from tests.benchmarks.planning import documents
from tests.integration.conftest import install_crds
from tests.integration.control_plane import RunningControlPlane
from tests.integration.operator_process import BASELINE, NAMESPACE, thing
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WHERE = {"namespace": NAMESPACE, "name": "audit-policy"}
MAIN = thing("AuditControlPlane", "main", {"default": True, "driver": "ConfigMap", "configMap": WHERE})
PATCHES = 2000
CHANGES = 20


def run() -> Iterator[str]:
    yield (
        "| policies | raw status patches/s | cold: ConfigMap s | all statuses s | statuses/s "
        "| one change: in ConfigMap, p50 s | p99 s | in status, p50 s | p99 s | operator MiB |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for number in (1_000, 10_000):
        yield measure(number)


def measure(number: int) -> str:
    control_plane = RunningControlPlane(provide())
    with control_plane.plane:
        install_crds(control_plane)
        control_plane.create_namespace(NAMESPACE)
        policies = [thing("AuditPolicy", "p", spec, metadata["namespace"]) for metadata, spec in documents(number, 30)]
        rate = asyncio.run(_prepare(control_plane.kubeconfig(), policies))
        control_plane.apply(MAIN, BASELINE)
        port = next(free_ports())
        environment = {
            "AUDIT_OPERATOR_KUBECONFIG": str(control_plane.kubeconfig()),
            "AUDIT_OPERATOR_LISTEN_HOST": "127.0.0.1",
            "AUDIT_OPERATOR_LISTEN_PORT": str(port),
            "AUDIT_OPERATOR_STATUSES_PER_SECOND": "1000",
        }
        command = [sys.executable, "-m", "audit_operator", "run"]
        with (control_plane.plane.folder / "operator.log").open("wb") as log:
            started = time.perf_counter()
            process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=log)  # noqa: S603 - ourselves
        try:
            delivered = wait(lambda: config_map(control_plane)) and time.perf_counter() - started
            wait(lambda: written(port) >= number)
            statuses = time.perf_counter() - started
            changes = [one_change(control_plane, policies[0], round_) for round_ in range(CHANGES)]
            memory = resident(process.pid)
        finally:
            process.terminate()
            process.wait(60)
    in_map, in_status = ([each[column] for each in changes] for column in (0, 1))
    return (
        f"| {number:,} | {rate:,.0f} | {delivered:.1f} | {statuses:.1f} | {number / (statuses - delivered):,.0f} "
        f"| {statistics.median(in_map):.2f} | {max(in_map):.2f} | {statistics.median(in_status):.2f} "
        f"| {max(in_status):.2f} | {memory:.0f} |"
    )


async def _prepare(kubeconfig: Path, policies: list[dict[str, Any]]) -> float:
    """Create namespaces and policies; then how many statuses a second the API server takes from eight writers."""
    connection = await connect(kubeconfig)
    client = RestClient(connection.session())
    namespace = {"apiVersion": "v1", "kind": "Namespace"}

    async def create(items: list[dict[str, Any]]) -> None:
        for each in items:
            await connection_session.post(
                "/api/v1/namespaces", json={**namespace, "metadata": {"name": each["metadata"]["namespace"]}}
            )
            await client.create(AUDIT_POLICY, each)

    async def patch(items: list[dict[str, Any]]) -> None:
        for each in items:
            body = {key: each[key] for key in ("apiVersion", "kind", "metadata")}
            conditions = [
                {
                    "type": "Ready",
                    "status": "False",
                    "reason": "Pending",
                    "message": "x" * 100,
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }
            ]
            await client.apply(
                AUDIT_POLICY, {**body, "status": {"conditions": conditions}}, field_manager="raw", subresource="status"
            )

    connection_session = connection.session()
    await asyncio.gather(*(create(policies[start::8]) for start in range(8)))
    some = policies[:PATCHES]
    started = time.perf_counter()
    await asyncio.gather(*(patch(some[start::8]) for start in range(8)))
    rate = len(some) / (time.perf_counter() - started)
    await connection.aclose()
    return rate


def one_change(control_plane: RunningControlPlane, policy: dict[str, Any], round_: int) -> tuple[float, float]:
    """Seconds until a change is in the ConfigMap, and until the object's status speaks of it."""
    before = config_map(control_plane)
    level = ("RequestResponse", "Metadata")[round_ % 2]
    spec = {"rules": [{"level": level, "verbs": [f"verb-{'ab'[round_ % 2]}"], "resources": [{"group": "apps"}]}]}
    control_plane.apply({**policy, "spec": spec})
    started = time.perf_counter()
    wait(lambda: config_map(control_plane) != before, pause=0.02)
    in_map = time.perf_counter() - started
    path = f"/apis/audit-operator.dev/v1alpha1/namespaces/{policy['metadata']['namespace']}/auditpolicies/p"

    def spoken_of() -> bool:
        found = control_plane.get(path)
        return bool(found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"])

    wait(spoken_of, pause=0.02)
    return in_map, time.perf_counter() - started


def config_map(control_plane: RunningControlPlane) -> str:
    answer = control_plane.request("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps/audit-policy")
    return json.dumps(answer.json()["data"]) if answer.status == 200 else ""


def written(port: int) -> float:
    """Statuses written so far, as the operator's own metrics say; listing objects would disturb what is measured."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("audit_operator_status_written ")))


def resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def wait(condition: Callable[[], Any], pause: float = 0.1) -> Any:
    deadline = time.monotonic() + 600
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(pause)
    return result
