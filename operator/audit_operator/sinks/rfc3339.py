"""Times as stores write them, to the nanosecond, of which Python's own have none."""

from __future__ import annotations

from datetime import datetime

from audit_operator.integrity.interval import to_nanoseconds

_FRACTION = 9


def nanoseconds(text: str) -> int:
    """Since 1970, of RFC 3339 in UTC with up to nine digits, all of which count. Raises ValueError for all else."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    if not text.endswith("Z") or len(fraction) > _FRACTION or not (fraction or "0").isdecimal():
        raise ValueError
    seconds = to_nanoseconds(datetime.fromisoformat(f"{whole}+00:00"))
    return seconds + int(fraction.ljust(_FRACTION, "0"))
