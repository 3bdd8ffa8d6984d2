"""Where an exception came from, for logs of bugs that tenants' objects can bring about.

Its text may quote such an object, or what a Secret holds; the way it took cannot.
"""

from __future__ import annotations

import traceback


def origin(error: BaseException) -> str:
    """Functions and lines, the innermost first, such as ``connect:203 < _checked:98``."""
    frames = traceback.extract_tb(error.__traceback__)[::-1]
    return " < ".join(f"{each.name}:{each.lineno}" for each in frames)
