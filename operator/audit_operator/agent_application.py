"""The composition root of the node agent: everything is made and joined here, and nowhere else."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.cluster.connection import connect
from audit_operator.cluster.rest import RestClient, Timeouts
from audit_operator.controller import logs
from audit_operator.controller.agent_metrics import agent_metrics
from audit_operator.controller.board import ClusterBoard
from audit_operator.controller.health import HealthServer
from audit_operator.controller.lifetime import alone, stop_on_signals
from audit_operator.controlplane.static_pod.agent import Agent
from audit_operator.controlplane.static_pod.change import ChangeTiming
from audit_operator.controlplane.static_pod.host import NodeHost, Places
from audit_operator.controlplane.static_pod.loopback import Loopback
from audit_operator.controlplane.static_pod.rollout import NodeRollout
from audit_operator.controlplane.static_pod.turn import Turns

if TYPE_CHECKING:
    from audit_operator.cluster.connection import Connection
    from audit_operator.settings import Settings

FIELD_MANAGER = "audit-operator-agent"

_LOG = logging.getLogger(__name__)
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


async def run(settings: Settings) -> int:
    """Run the agent until SIGTERM or SIGINT; returns the exit status.

    Raises:
        ConnectionConfigError: there are no usable credentials.
        OSError: the agent's folder cannot be used.
    """
    logs.configure(settings.log_level)
    settings.agent_folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    stop, halted = stop_on_signals(), threading.Event()
    connection = await connect(settings.kubeconfig, settings.context)
    agent = _agent(settings, connection, halted)
    health = HealthServer(agent_metrics(lambda: agent.rollout.report), {}, {})
    try:
        port = await health.start(settings.listen_host, settings.listen_port)
        extra = {"reason": "Started"}
        _LOG.info("Agent of node %s; health and metrics on port %d", settings.node, port, extra=extra)
        return await _work(agent, settings.agent_folder / "lock", stop, halted)
    finally:
        await health.aclose()
        await connection.aclose()


async def _work(agent: Agent, lock: Path, stop: asyncio.Event, halted: threading.Event) -> int:
    """Work while holding the node's lock, until `stop` is set; raises what ends the agent before, which is a bug."""

    async def until_stopped() -> int:
        working = asyncio.create_task(agent.run())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        halted.set()
        if not working.done():
            # A thread may be at work: it stops at its next look at `halted`, and the lock is held until then.
            await agent.stopped()
            working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        return 0

    return await alone(lock, stop, until_stopped, waiting="Another agent works on this node; waiting")


def _agent(settings: Settings, connection: Connection, halted: threading.Event) -> Agent:
    # Tried once, and briefly: the agent's own API server is away while it is changed, and the loop comes round again.
    client = RestClient(connection.session(), attempts=1, timeouts=Timeouts(connect=3.0, request=10.0))
    board = ClusterBoard(client, settings.namespace, FIELD_MANAGER)
    token = _SERVICE_ACCOUNT / "token" if settings.kubeconfig is None else None
    places = Places(settings.agent_folder, settings.agent_manifests, settings.agent_logs)
    host = NodeHost(places, Loopback(connection.ca_file, token), settings.agent_preflight)
    rollout = NodeRollout(host, ChangeTiming(soak=settings.agent_soak_seconds), halted.is_set)
    return Agent(settings.node, board, rollout, Turns(board, settings.node), poll=settings.agent_poll_seconds)
