"""`shipper`: the shipper of a control-plane node, or the configuration for a collector that somebody else runs."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.cli.offline import add_compilation, compile_objects, print_findings
from audit_operator.cli.serving import serve
from audit_operator.cli.shipper_trial import show_trial
from audit_operator.cli.usage import UsageError, add_fail_on, add_version, exit_status
from audit_operator.controlplane.shipper.collector import KEYRING_FILE, Collector
from audit_operator.controlplane.static_pod.audit_flags import LogSettings
from audit_operator.plan.collector_files import (
    CONFIG_FILE,
    TABLE_FILE,
    CollectorFiles,
    Places,
    collector_files,
    credential_files,
)
from audit_operator.plan.shipping import Shipping, shipping
from audit_operator.plan.sinks import Sinks
from audit_operator.shipping.collector.pseudonym_keys import keys_text
from audit_operator.shipping.redaction.keyring import Epoch, KeyringUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.api.findings import Finding
    from audit_operator.cli.offline import Compiled
    from audit_operator.plan.snapshot import Snapshot

RUN_EXAMPLES = """examples:
  audit-operator shipper run               in a pod of the DaemonSet that the chart installs (shipper.enabled)

  AUDIT_OPERATOR_NODE=cp-1 AUDIT_OPERATOR_KUBECONFIG=~/.kube/config AUDIT_OPERATOR_COLLECTOR=./otelcol \\
    AUDIT_OPERATOR_SHIPPER_FOLDER=/var/lib/audit-operator-shipper audit-operator shipper run

It reads the audit log of the node's API server, where spec.log.path of the AuditControlPlane says, and writes to its
own folder. What it ships, and where to, it learns from the operator (AUDIT_OPERATOR_SHIPPERS=Nodes there); as long as
the API server is away, what it learned last counts. Settings come from the environment: AUDIT_OPERATOR_NODE,
_NAMESPACE, _CONTROL_PLANE, _SHIPPER_FOLDER, _COLLECTOR, _LISTEN_PORT, _LOG_LEVEL and others; see docs/settings.md.
SIGTERM ends it and its collector within 10 s; the next one goes on where they were.
"""
EXAMPLES = """examples:
  audit-operator shipper run                                   the shipper of a control-plane node; see its --help
  audit-operator shipper render --output shipper/              from the objects of the cluster
  audit-operator shipper render -f policies/ --output shipper/ --cluster-name prod
  audit-operator shipper render -f policies/ --output shipper/ --try ./otelcol    and try it with known lines
  otelcol validate --config shipper/config.yaml                with the collector of tools/otelcol
  otelcol --feature-gates=stanza.synchronousLogEmitter --config shipper/config.yaml

Run it on each control-plane node, with the feature gate: without it, a kill can lose events. The table is read anew
within seconds of a change; after a change of the configuration, send the collector SIGHUP. What no Namespace object
describes is shipped as it was recorded. Where policies ask for pseudonyms, pseudonyms.yaml has their keys, the same for
all nodes: it is a secret. They come from keyring.json.gz, which is made once; keep it, and bring it to no node.

`validate` takes much that loses records. With --try, the collector reads lines that are known, in a folder of its own,
with files in place of stores: no store, credential or log is touched. It prints what became of each line, and the exit
status is 1 if one was lost, or became what it must not.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "shipper",
        help="run the log shipper of a control-plane node, or render its configuration",
        description="Enforce levels, redact, and ship what the API server of a control-plane node records.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    running = actions.add_parser(
        "run",
        help="run the shipper of a control-plane node",
        description="Keep a collector running that ships what the API server of this node records, as the operator "
        "says, and tell the operator how that goes.",
        epilog=RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    running.set_defaults(run=run_shipper)
    render = actions.add_parser(
        "render",
        help="write config.yaml and table.yaml",
        description="Write config.yaml, for the OpenTelemetry Collector, and table.yaml, which it looks levels up in. "
        "Findings, and the files with credentials that the configuration names, go to standard error.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    render.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        action="append",
        help="file, folder, or - for standard input (default: the objects of the cluster)",
    )
    render.add_argument("--output", metavar="FOLDER", type=Path, required=True, help="where the two files go")
    render.add_argument("--cluster-name", default="", metavar="NAME", help="which every record carries")
    places = Places()
    render.add_argument(
        "--config-folder", default=places.config, metavar="PATH", help=f"where they will lie (default: {places.config})"
    )
    render.add_argument(
        "--state-folder", default=places.state, metavar="PATH", help=f"offsets and queues (default: {places.state})"
    )
    render.add_argument(
        "--credentials-folder",
        default=places.credentials,
        metavar="PATH",
        help=f"what the Secrets of sinks hold (default: {places.credentials})",
    )
    render.add_argument(
        "--try",
        dest="collector",
        metavar="COLLECTOR",
        type=Path,
        help="try the configuration with this collector, and print what it makes of lines that are known",
    )
    add_compilation(render)
    add_version(render)
    add_fail_on(render)
    render.set_defaults(run=run)


def run_shipper(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command has this shape
    """Run the shipper of a node."""
    from audit_operator.shipper_application import run as run_until_stopped  # noqa: PLC0415 - see serve

    return serve(run_until_stopped, node="the node that this shipper works on")


def run(options: argparse.Namespace) -> int:
    """Render and write."""
    compiled = compile_objects(options.filename, options)
    print_findings(compiled.findings)
    planned = shipping(compiled.snapshot, compiled.planned, compiled.plane.metadata.name)
    if planned is None:
        raise UsageError("no policy names a sink that exists and admits it: nothing is shipped (see spec.sinkRefs)")
    places = Places(
        config=options.config_folder,
        credentials=options.credentials_folder,
        state=options.state_folder,
        audit_log=LogSettings.from_spec(compiled.plane.spec.log).path,
    )
    cluster = options.cluster_name or compiled.plane.metadata.name
    files = collector_files(planned, compiled.snapshot, cluster, places, tries=True)
    _write(options.output, files)
    further = tuple(_findings(compiled, planned, files))
    print_findings(further)
    for name in _credentials(files, compiled.snapshot, places):
        print(f"needs {name}", file=sys.stderr)
    status = exit_status((*compiled.findings, *further), options.fail_on)
    return status if options.collector is None or show_trial(files, places, options.collector) else 1


def _write(folder: Path, files: CollectorFiles) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / TABLE_FILE).write_text(files.table)
        (folder / CONFIG_FILE).write_text(files.config)
        if files.pseudonymous:
            keeper = Collector(folder)
            keys = Epoch.decoded(keeper.own_pseudonym_keys())
            keeper.write_pseudonym_keys(keys_text(files.pseudonymous, keys))
    except OSError as error:
        raise UsageError(f"--output: {error}") from error
    except KeyringUnusable:
        raise UsageError(f"{folder / KEYRING_FILE} holds no keys that can be read; restore it, or delete it") from None


def _findings(compiled: Compiled, planned: Shipping, files: CollectorFiles) -> Iterator[Finding]:
    sinks = Sinks.of(compiled.snapshot)
    for policy in compiled.snapshot.policies():
        _, unusable = sinks.of_policy(policy)
        yield from (replace(each, object=policy.ref) for each in unusable)
    yield from files.findings.values()
    yield from (replace(each, object=compiled.plane.ref) for each in planned.findings)


def _credentials(files: CollectorFiles, snapshot: Snapshot, places: Places) -> Iterator[str]:
    """The files that the configuration names and that somebody must put there."""
    for ref, sink in Sinks.of(snapshot).existing.items():
        if ref in files.sinks:
            named = credential_files(sink, places)
            yield from filter(None, (named.authorization, named.ca, named.certificate, named.key))
