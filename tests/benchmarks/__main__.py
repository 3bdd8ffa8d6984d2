"""Run the measurements named on the command line, or all of them, and print them as Markdown."""

from __future__ import annotations

import platform
import sys

from tests.benchmarks import (
    alerting,
    compose,
    counting,
    detections,
    evaluation,
    gateway,
    integrity,
    isolation,
    planning,
    pseudonyms,
    reconcile,
    replay,
    report,
    retention,
    shipping,
    sidecar,
)

BENCHMARKS = {
    "compose": compose.run,
    "planning": planning.run,
    "detections": detections.run,
    "evaluation": evaluation.run,
    "reconcile": reconcile.run,
    "shipping": shipping.run,
    "isolation": isolation.run,
    "counting": counting.run,
    "pseudonyms": pseudonyms.run,
    "sidecar": sidecar.run,
    "gateway": gateway.run,
    "integrity": integrity.run,
    "retention": retention.run,
    "replay": replay.run,
    "report": report.run,
    "alerting": alerting.run,
    "hour": alerting.hour,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    print(f"Python {platform.python_version()}, {platform.machine()}")
    for name in names or BENCHMARKS:
        print(f"\n## {name}\n")
        for line in BENCHMARKS[name]():
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
