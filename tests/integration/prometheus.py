"""Prometheus and its promtool, from Debian's package, without installing anything."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from tests.e2e.node.debian import unpacked_packages

if TYPE_CHECKING:
    from pathlib import Path


@cache
def promtool() -> Path:
    return unpacked_packages(names=("prometheus",)).root / "usr/bin/promtool"
