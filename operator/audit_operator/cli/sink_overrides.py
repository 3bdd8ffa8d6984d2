"""`sinks overrides`: what somebody must write into a Loki, so that it keeps and deletes as policies ask."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from audit_operator.cli.from_cluster import read_cluster
from audit_operator.cli.inputs import read_facts
from audit_operator.cli.named_sinks import chosen
from audit_operator.cli.usage import UsageError
from audit_operator.plan import plan

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> int:
    """Print it. Raises UsageError: there is no such sink, or nothing that could be written."""
    # Imported here: it comes with the clients, which take a quarter of a second that other commands should not pay.
    from audit_operator.sinks.retention.loki_overrides import loki_overrides  # noqa: PLC0415
    from audit_operator.sinks.retention.loki_settings import SINGLE  # noqa: PLC0415

    facts = read_facts(options.filename) if options.filename else read_cluster(options)
    for finding in facts.findings:
        print(f"{finding.object or finding.location.file}: {finding.message}", file=sys.stderr)
    [sink] = chosen(tuple(facts.snapshot.sinks()), [options.sink])
    if sink.spec.loki is None:
        raise UsageError(f"{sink.ref} is of type {sink.spec.type.value}: only a Loki has runtime overrides")
    demands = plan(facts.snapshot).retention.sinks.get(sink.ref)
    if demands is None:
        message = "nothing is demanded of it: its policies, and an AuditControlPlane, must be among the objects"
        raise UsageError(f"{sink.ref}: {message}")
    sys.stdout.write(loki_overrides(sink.spec.loki.tenant or SINGLE, demands.classes, demands.clusters))
    return int(bool(facts.findings))
