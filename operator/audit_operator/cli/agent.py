"""`agent`: changes the audit policy of the API server on its node."""

from __future__ import annotations

import argparse

from audit_operator.cli.serving import serve

EXAMPLES = """examples:
  audit-operator agent                     in a pod of the DaemonSet that the chart installs (nodeAgent.enabled)

It needs root, the host's network and process ids, and writes to two folders of the node: the kubelet's manifests and
its own, /etc/kubernetes/audit-operator. Settings come from the environment: AUDIT_OPERATOR_NODE, _NAMESPACE,
_AGENT_FOLDER, _AGENT_MANIFESTS, _AGENT_LOGS, _LISTEN_PORT, _LOG_LEVEL and others; see docs/settings.md.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "agent",
        help="run the agent of a control-plane node",
        description="Change the audit policy of the API server on this node, as AuditControlPlanes with driver "
        "StaticPod ask for, and change it back if the API server does not come up.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command has this shape
    """Run it."""
    from audit_operator.agent_application import run as run_agent  # noqa: PLC0415 - see serve

    return serve(run_agent, node="the node that this agent works on")
