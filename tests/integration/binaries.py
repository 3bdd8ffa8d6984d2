"""`python -m tests.integration.binaries`: all that these tests run, made before any clock of theirs runs.

A build takes both cores for minutes; in the middle of a test it would starve those beside it.
"""

from __future__ import annotations

import sys

from audit_operator.controlplane.assets import (
    OTELCOL_VERSION,
    VICTORIA_LOGS_VERSION,
    Asset,
    Tool,
    provide,
    provide_one,
    provide_open_search,
)
from audit_operator.controlplane.assets.go_build import CHECKOUT_TOOLS
from tests.browser.binaries import provide_chromium
from tests.chart.helm import HELM_3
from tests.e2e.node.binaries import HELM, NODE_BINARIES, get
from tests.integration.prometheus import amtool, promtool

OLDER_API_SERVER = Asset(Tool.KUBE_APISERVER, (CHECKOUT_TOOLS / "k8s-1.35" / "VERSION").read_text().strip())
CONTROLLER_MANAGER = next(each for each in NODE_BINARIES if each.tool == "kube-controller-manager")


def main() -> int:
    provide()
    for asset in (
        OLDER_API_SERVER,
        Asset(Tool.OTELCOL, OTELCOL_VERSION),
        Asset(Tool.VICTORIA_LOGS, VICTORIA_LOGS_VERSION),
    ):
        provide_one(asset)
    provide_open_search()
    for binary in (HELM, HELM_3, CONTROLLER_MANAGER):
        get(binary)
    promtool()
    amtool()
    if missing := provide_chromium():
        print(f"the tests of pages are going to be skipped: {missing}", file=sys.stderr)  # noqa: T201 - who reads this runs it
    return 0


if __name__ == "__main__":
    sys.exit(main())
