"""Command-line flags as Kubernetes' components read them (spf13/pflag)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def flags_in(arguments: Sequence[str]) -> dict[str, str]:
    """Flags and values, as in ``--name=value`` and ``--name value``; of a repeated flag, the last value counts.

    A flag that no value follows has the empty string.
    """
    flags: dict[str, str] = {}
    following = [*arguments[1:], "--"]
    for argument, successor in zip(arguments, following, strict=True):
        if not argument.startswith("--"):
            continue
        name, equals, value = argument.partition("=")
        flags[name] = value if equals or successor.startswith("--") else successor
    return flags
