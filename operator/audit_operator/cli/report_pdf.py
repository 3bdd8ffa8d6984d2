"""A report as PDF: printed by a browser of this machine, since no other program lays out the page as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from audit_operator.cli.usage import UsageError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
_SECONDS = 300


def as_pdf(page: str) -> bytes:
    """Print a page that needs no network.

    Raises:
        UsageError: there is no browser, or it does not print.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise UsageError(
            "a PDF is printed by Chromium or Chrome, and there is none on PATH: install one (Debian: apt-get install "
            "chromium), or write HTML with -o html and print that"
        )
    with tempfile.TemporaryDirectory(prefix="audit-operator-report-", ignore_cleanup_errors=True) as folder:
        source, target = Path(folder) / "report.html", Path(folder) / "report.pdf"
        source.write_text(page, encoding="utf-8")
        command = [
            browser,
            "--headless=new",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder}/profile",
            "--no-pdf-header-footer",
            f"--print-to-pdf={target}",
            # It refuses to run as root otherwise. The page is ours, and may neither load nor run anything else.
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            source.as_uri(),
        ]
        try:
            done = subprocess.run(  # noqa: S603 - a browser of this machine, and nothing of a stranger's in the words
                command, capture_output=True, timeout=_SECONDS, check=False, env={**os.environ, "HOME": folder}
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UsageError(f"{browser} does not print: {error}") from error
        if done.returncode != 0 or not target.is_file():
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise UsageError(f"{browser} does not print: {said[-1] if said else f'it ended with {done.returncode}'}")
        return target.read_bytes()
