"""Chromium, from Debian where nothing else has brought it: the tests of pages look at them in a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.browser.chromium import NAMES, chromium

_SECONDS = 300


def provide_chromium() -> str:
    """Why there is none; empty where there is one, if need be since now."""
    if chromium() is not None:
        return ""
    missing = f"none of {', '.join(NAMES)} is on PATH"
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return f"{missing}, and only root on Debian could install it here: apt-get install chromium"
    print("installing chromium for the tests of pages, once", file=sys.stderr)  # noqa: T201 - it takes a minute or two
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", "chromium"]):
        try:
            done = subprocess.run(  # noqa: S603 - Debian's own
                [apt, *arguments], env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return f"{missing}, and apt-get {arguments[0]} took more than {_SECONDS} s"
        if done.returncode != 0:
            return f"{missing}, and apt-get {arguments[0]} says: {done.stderr.strip()[-500:]}"
    return "" if chromium() is not None else missing
