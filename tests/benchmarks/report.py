"""How long a browser takes for a report: until it is loaded, and from one cell of the map to the next."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.report.html import to_html
from tests.browser.chromium import Chromium, chromium
from tests.report.large import large

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEPS = 20


def run() -> Iterator[str]:
    if chromium() is None:
        yield "There is no Chromium on PATH."
        return
    yield "| namespaces, all different | write s | page MB | first seen ms | loaded ms | a step ms |"
    yield "|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder, Chromium() as browser:
        for namespaces in (10, 1_000, 10_000):
            report, path = large(namespaces), Path(folder) / "report.html"
            began = time.perf_counter()
            path.write_text(to_html(report), encoding="utf-8")
            written = time.perf_counter() - began
            yield f"| {namespaces:,} | {written:.2f} | {path.stat().st_size / 1e6:.1f} | {_looked_at(browser, path)} |"


def _looked_at(browser: Chromium, path: Path) -> str:
    page = browser.open(path)
    page.wait_for("performance.timing.loadEventEnd > 0")
    loaded = page.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart")
    page.wait_for("performance.getEntriesByType('paint').length > 0")
    seen = page.evaluate("performance.getEntriesByType('paint')[0].startTime")
    page.evaluate("document.querySelector('#heat td').focus()")
    began = time.perf_counter()
    for _ in range(_STEPS):
        page.press("ArrowDown")
    step = (time.perf_counter() - began) / _STEPS * 1000
    page.close()
    return f"{seen:.0f} | {loaded:.0f} | {step:.0f}"
