"""How many examples a test takes that has many: fewer while one works, all of them in `make test`.

A law that holds for two dozen examples of everybody's, several times an hour, and for all of them before anything is
published, is as well tested as before; a run that takes minutes is run seldom.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

_T = TypeVar("_T")

THOROUGH = bool(os.environ.get("THOROUGH") or os.environ.get("CI"))
_FEWER, _LEAST = 5, 10


def examples(number: int) -> int:
    """So many, where tests are thorough; else a fifth, and ten at the least."""
    return number if THOROUGH else min(number, max(number // _FEWER, _LEAST))


def some(cases: Sequence[_T]) -> Sequence[_T]:
    """All of them, where tests are thorough; else so many, evenly spread."""
    return cases[:: len(cases) // examples(len(cases)) or 1]
