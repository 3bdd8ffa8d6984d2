"""`gateway`: takes what the audit webhook backends of API servers post, and ships it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from audit_operator.cli.serving import serve
from audit_operator.cli.usage import UsageError
from audit_operator.shipping.audit_webhook import FLAGS, Client, kubeconfig

RUN_EXAMPLES = """examples:
  audit-operator gateway run               in a pod of the StatefulSet that the chart installs (gateway.enabled)

  AUDIT_OPERATOR_NODE=gateway-0 AUDIT_OPERATOR_KUBECONFIG=~/.kube/config AUDIT_OPERATOR_COLLECTOR=./otelcol \\
    AUDIT_OPERATOR_SHIPPER_FOLDER=/var/lib/audit-operator-gateway AUDIT_OPERATOR_GATEWAY_CERTIFICATE=tls.crt \\
    AUDIT_OPERATOR_GATEWAY_KEY=tls.key AUDIT_OPERATOR_GATEWAY_CLIENT_CA=ca.crt audit-operator gateway run

API servers post to https://HOST:8443/audit. What is shipped, and where to, it learns from the operator
(AUDIT_OPERATOR_SHIPPERS=Gateway there). Settings come from the environment: AUDIT_OPERATOR_NODE (the name of the pod),
_CONTROL_PLANE, _NAMESPACE, _SHIPPER_FOLDER, _COLLECTOR, _GATEWAY_PORT and others; see docs/settings.md.
Its folder must outlive it: events that no sink has taken yet lie there.
"""
EXAMPLES = """examples:
  audit-operator gateway run               a replica of the gateway; see its --help
  audit-operator gateway kubeconfig --server https://gateway.example.com:8443/audit --ca ca.crt \\
    --client-certificate api-server.crt --client-key api-server.key > audit-webhook.yaml

docs/gateway.md says what to give the API server, and what it loses all the same.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "gateway",
        help="take what API servers post whose nodes nobody reaches, and ship it",
        description="For API servers whose log files nobody reaches: they post events to the gateway (audit webhook).",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    running = actions.add_parser(
        "run",
        help="run a replica of the gateway",
        description="Take events from API servers that prove themselves by certificate, and keep a collector running "
        "that ships them, as the operator says. An event is answered for once it lies on disk here.",
        epilog=RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    running.set_defaults(run=run)
    writing = actions.add_parser(
        "kubeconfig",
        help="print the file for --audit-webhook-config-file",
        description="Print the file for --audit-webhook-config-file of kube-apiserver. It holds the client's key, if "
        "there is one. The other flags go to standard error.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    writing.add_argument("--server", metavar="URL", required=True, help="of the gateway: https://HOST:PORT/audit")
    writing.add_argument("--ca", metavar="FILE", type=Path, required=True, help="authority of its certificate, in PEM")
    writing.add_argument("--server-name", metavar="NAME", default="", help="that its certificate is for, if not HOST")
    writing.add_argument("--client-certificate", metavar="FILE", type=Path, help="of the API server, in PEM")
    writing.add_argument("--client-key", metavar="FILE", type=Path, help="its key, in PEM")
    writing.set_defaults(run=print_kubeconfig)


def run(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command has this shape
    """Run a replica."""
    from audit_operator.gateway_application import run as run_until_stopped  # noqa: PLC0415 - see serve

    return serve(run_until_stopped, node="this replica: the name of its pod")


def print_kubeconfig(options: argparse.Namespace) -> int:
    """Print it."""
    if not options.server.startswith("https://"):
        raise UsageError("--server: an API server must know whom it sends events to: give an https:// address")
    if (options.client_certificate is None) != (options.client_key is None):
        raise UsageError("--client-certificate and --client-key belong together")
    client = Client(_pem(options.client_certificate), _pem(options.client_key)) if options.client_key else None
    print(kubeconfig(options.server, _pem(options.ca), client, options.server_name), end="")
    print("\n".join(("--audit-webhook-config-file=FILE", *FLAGS)), file=sys.stderr)
    return 0


def _pem(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if b"-----BEGIN " not in content:
        raise UsageError(f"{path} is not in PEM")
    return content
