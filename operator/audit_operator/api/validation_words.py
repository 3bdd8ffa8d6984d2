"""What a validator says, in words of documents: users of YAML know of lists and mappings, and of no tuples."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

_SUBJECT = re.compile(r"^(Input|Value|String|Tuple|List|Set|Frozenset|Dictionary|Mapping) should ")
_LIST = re.compile(r"\ba valid (tuple|list|array|set|frozenset)\b")
_MAPPING = re.compile(r"\b(a valid dictionary|an object)\b.*")


def sentence(error: ErrorDetails) -> str:
    """The validator's message without its subject, such as ``must have at least 1 item, not 0``."""
    text = _SUBJECT.sub("must ", error["msg"].replace(" after validation", ""))
    return _MAPPING.sub("a mapping", _LIST.sub("a list", text))


def telling(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Those that say something of their own: a list is too short also where its items were refused, each by itself."""
    places = [each["loc"] for each in details]

    def is_consequence(error: ErrorDetails) -> bool:
        own = error["loc"]
        return error["type"] == "too_short" and any(each != own and each[: len(own)] == own for each in places)

    return [each for each in details if not is_consequence(each)]
