"""Values in queries: LogsQL and LogQL both take string literals of Go.

An audit ID is any text that some client sent, so that what is written into a query must stay a value whatever it is.
"""

from __future__ import annotations

import string

from audit_operator.sinks.access import failure
from audit_operator.sinks.store import Reason

UNASKABLE = failure(Reason.QUESTION_INVALID, "the audit ID or the stage asked for is empty, or too long")

_PLAIN = frozenset(string.ascii_letters + string.digits + "-_. ")
_SHORT = 0xFFFF
_MOST_BYTES = 4096
"""Of one literal; VictoriaLogs reads queries of 16 KiB, Loki of 128 KiB."""


def is_askable(value: str) -> bool:
    """Whether a store can be asked for this value: an empty one is no value to it, and a query must end somewhere."""
    return value != "" and len(quoted(value)) <= _MOST_BYTES


def are_askable(audit_id: str, stage: str | None) -> bool:
    """Whether a store can be asked for this audit ID, and for this stage or (None) for all."""
    return is_askable(audit_id) and (stage is None or is_askable(stage))


def quoted(value: str) -> str:
    """A literal that Go reads as `value`; all but the plainest characters are escapes, so that nothing can end it.

    A surrogate, which no UTF-8 text holds, becomes U+FFFD, as it does in the API server's JSON.
    """
    return '"' + "".join(each if each in _PLAIN else _escape(ord(each)) for each in value) + '"'


def _escape(code: int) -> str:
    if 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004  # the surrogates
        code = 0xFFFD
    return f"\\u{code:04x}" if code <= _SHORT else f"\\U{code:08x}"
