"""Which texts the collector's parser of times may be given: at a day that there is not, collector 0.157 panics.

It does so again for as long as the line is there, so that nothing behind it would ever be shipped. See `iterativeParse`
in `internal/coreinternal/timeutils/internal/ctimefmt` of opentelemetry-collector-contrib.
"""

from __future__ import annotations

_YEAR = "(?:19(?:7[1-9]|[89][0-9])|2[01][0-9]{2})"
_LEAP_YEAR = "(?:19(?:[79][26]|8[048])|20(?:[02468][048]|[13579][26])|21(?:0[48]|[2468][048]|[13579][26]))"
DAY = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|"
    f"02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
"""Days from 1971 to 2199, as 2026-11-28."""
CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
"""Hours and minutes."""
RFC3339 = f"^{DAY}T{CLOCK}:[0-5][0-9](?:[.][0-9]{{1,9}})?(?:Z|[+-]{CLOCK})$"
MICRO_TIME = f"^{DAY}T{CLOCK}:[0-5][0-9][.][0-9]{{6}}Z$"
"""As the API server writes a moment."""
