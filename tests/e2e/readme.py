"""The README's way to install, taken from the README."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"<!-- not run: tests/e2e follows this block line by line on a node -->\n```console\n(.*?)```", re.DOTALL
)


def install_commands() -> list[str]:
    """The commands, in their order, without comments."""
    found = _BLOCK.search((ROOT / "README.md").read_text())
    assert found is not None, "the README has no block that is marked to be followed"
    return [line.partition("  #")[0].strip() for line in found[1].splitlines()]
