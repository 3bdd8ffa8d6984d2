"""Events per second and memory of `replay`, beside jq with a fixed filter and a Go program with upstream's evaluator.

The Go program (`replay_go/`) decodes with encoding/json; all three read the same file, and the last two must count the
same.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.audit_log import write_log

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EVENTS = int(os.environ.get("REPLAY_EVENTS", "10_000_000"))
POLICY = Path(__file__).parents[1] / "reference-policies" / "gce-configure-helper.yaml"
FILTER = 'select(.verb == "get" and .objectRef.resource == "secrets") | .auditID'


@dataclass(frozen=True, slots=True)
class Run:
    """What a program took, with its children: seconds on the clock, of CPU, and the largest process's MiB."""

    wall: float
    cpu: float
    memory: float
    output: str


def run() -> Iterator[str]:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="replay-") as folder:
        log, program = Path(folder) / "audit.log", Path(folder) / "replay_go"
        build = ["go", "build", "-o", str(program), "."]
        subprocess.run(build, cwd=Path(__file__).parent / "replay_go", check=True)  # noqa: S603 - our own words
        write_log(log, EVENTS)
        yield f"{EVENTS:,} events, {log.stat().st_size / 2**30:.1f} GiB."
        yield ""
        yield "| program | events/s | CPU s | largest process MiB |"
        yield "|---|---|---|---|"
        ours = [sys.executable, "-m", "audit_operator", "replay", str(log), "--policy", str(POLICY), "-o", "json"]
        runs = {
            "`replay`": measured(ours),
            "`replay --jobs 1`": measured([*ours, "--jobs", "1"]),
            "Go, encoding/json and the API server's evaluator": measured([str(program), str(POLICY), str(log)]),
        }
        if shutil.which("jq"):
            runs["jq, one fixed filter"] = measured(["jq", "-r", FILTER, str(log)])
        for name, each in runs.items():
            yield f"| {name} | {EVENTS / each.wall:,.0f} | {each.cpu:.0f} | {each.memory:.0f} |"
        yield ""
        first, _, go, *_ = runs.values()
        yield f"Counts: {compared(json.loads(first.output), json.loads(go.output))}."


def compared(ours: dict, go: dict) -> str:
    """Whether the two programs counted the same."""
    levels: dict[str, int] = {}
    for rule in ours["rules"]:
        if rule["events"]:
            levels[rule["level"]] = levels.get(rule["level"], 0) + rule["events"]
    same = (ours["log"]["events"], ours["after"]["events"], levels) == (go["events"], go["recorded"], go["levels"])
    return f"{'the same' if same else 'NOT THE SAME'}, {go['recorded']:,} of {go['events']:,} recorded, {go['levels']}"


_WATCH = """
import json, os, sys, time
started = time.perf_counter()
_, status, usage = os.wait4(os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ), 0)
took = [time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]
print(json.dumps(took), file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""In a small process: a program begins its life with the largest size of the one that starts it."""


def measured(command: Sequence[str]) -> Run:
    """Run it to its end."""
    watched = [sys.executable, "-I", "-S", "-c", _WATCH, *command]
    done = subprocess.run(watched, capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    return Run(*json.loads(done.stderr.splitlines()[-1]), done.stdout)
