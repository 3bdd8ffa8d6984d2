"""`reader`: a proxy before a store that lets callers read the namespaces in which they may."""

from __future__ import annotations

import argparse

from audit_operator.cli.serving import serve

RUN_EXAMPLES = """examples:
  audit-operator reader run                in a pod of the Deployment that the chart installs (reader.enabled)

  AUDIT_OPERATOR_KUBECONFIG=~/.kube/config AUDIT_OPERATOR_READER_SINK=sink.yaml \\
    AUDIT_OPERATOR_READER_SECRETS=./secrets AUDIT_OPERATOR_READER_CERTIFICATE=tls.crt \\
    AUDIT_OPERATOR_READER_KEY=tls.key audit-operator reader run

  curl --cacert ca.crt -H "Authorization: Bearer $(kubectl create token jane)" \\
    'https://HOST:8444/v1/records?namespace=payments&since=1h&resource=secrets'

It asks the store of AUDIT_OPERATOR_READER_SINK, a file with a ClusterAuditSink, with the Secrets in folders of their
names below _READER_SECRETS. Who may read a namespace's records is whoever may get auditpolicies/records there. Its own
identity must be allowed to create tokenreviews and subjectaccessreviews, and to get namespaces. Settings come from the
environment; see docs/settings.md. How to use it, and what it keeps from whom: docs/reading.md.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "reader",
        help="let tenants read their records in a store that knows no tenants",
        description="A proxy before a store: a caller reads the namespaces in which the API server says that they may.",
        epilog=RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    running = actions.add_parser(
        "run",
        help="run a replica of the reader",
        description="Answer GET /v1/records over TLS, for bearer tokens that the API server recognises.",
        epilog=RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    running.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command has this shape
    """Run a replica."""
    from audit_operator.reader_application import run as run_until_stopped  # noqa: PLC0415 - see serve

    return serve(run_until_stopped)
