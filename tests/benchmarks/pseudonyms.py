"""What pseudonyms cost the shipper, by the number of namespaces that have a key; and what it costs to make the keys."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.api.redaction import PseudonymizedField
from audit_operator.shipping.collector.configuration import ARGUMENTS, ENVIRONMENT, Endpoints, render
from audit_operator.shipping.collector.pseudonym_keys import keys_text
from audit_operator.shipping.redaction.demand import RedactionDemand
from audit_operator.shipping.redaction.key_tree import KeyTree
from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, Epoch
from tests.benchmarks.shipping import lines_of, pipeline_in, table_of
from tests.integration.shipping.collector import run_collector
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.shipping.enforcement.table import Table

EVENTS, ROUNDS = 25_000, 3
_PLAIN = RedactionDemand()
_PSEUDONYMS = replace(_PLAIN, pseudonymize=frozenset(PseudonymizedField))


def run() -> Iterator[str]:
    lines, table = list(lines_of(EVENTS, 100)), table_of(100)
    yield f"{EVENTS:,} events of 100 namespaces, 40 % by persons; up to the exporter; the least of {ROUNDS} runs each."
    yield ""
    yield "| pseudonyms | namespaces with a key | CPU s per 100,000 events | to derive keys, s | their file, kB |"
    yield "|---|---|---|---|---|"
    for demand, namespaces in ((_PLAIN, 0), (_PSEUDONYMS, 100), (_PSEUDONYMS, 1_000), (_PSEUDONYMS, 10_000)):
        began = time.process_time()
        keys = keys_of(namespaces)
        derived = time.process_time() - began
        cost = min(_ship(lines, table, demand, keys) - _ship(lines[:1], table, demand, keys) for _ in range(ROUNDS))
        what = "users and addresses" if demand.pseudonymize else "none"
        yield f"| {what} | {namespaces:,} | {cost * 100_000 / EVENTS:.1f} | {derived:.2f} | {len(keys) // 1000} |"


def keys_of(namespaces: int) -> str:
    epoch = Epoch(since=datetime(2026, 1, 1, tzinfo=UTC), tree=KeyTree.grown(bytes(RANDOM_BYTES)))
    return keys_text((f"team-{number}" for number in range(namespaces)), epoch)


def _ship(lines: list[bytes], table: Table, demand: RedactionDemand, keys: str) -> float:
    """CPU seconds from the start until everything is through."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "keys.yaml").write_text(keys)
        pipeline = replace(pipeline_in(folder, table, demand), keys=f"{folder}/keys.yaml")
        config = render(pipeline, Endpoints(health=f"127.0.0.1:{next(free_ports())}", detections="127.0.0.1:0"))
        return run_collector(config, lines, folder, environ=ENVIRONMENT, arguments=ARGUMENTS).cost.cpu
