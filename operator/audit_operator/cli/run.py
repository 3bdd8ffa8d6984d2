"""`run`: the operator."""

from __future__ import annotations

import argparse

from audit_operator.cli.serving import serve

EXAMPLES = """examples:
  audit-operator run                                           in a pod, with its service account
  AUDIT_OPERATOR_KUBECONFIG=~/.kube/config audit-operator run

Settings come from the environment: AUDIT_OPERATOR_KUBECONFIG, _CONTEXT, _NAMESPACE, _LEASE, _LISTEN_HOST, _LISTEN_PORT,
_RESYNC_SECONDS, _STATUSES_PER_SECOND, _PROCESS_FOLDER, _LOG_LEVEL and others; see audit_operator/settings.py.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "run",
        help="run the operator",
        description="Run the operator until it is told to stop. Of several replicas one leads.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command has this shape
    """Run it."""
    from audit_operator.application import run as run_operator  # noqa: PLC0415 - see serve

    return serve(run_operator)
