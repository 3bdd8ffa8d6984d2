"""For how long records can be searched at once, which a store may do for less long than it keeps them, or not at all.

An archive that keeps records for years is no place to look for what happened last night. Where a policy ships to
several sinks, it is enough that one of them can be searched.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from audit_operator.api.text import hours
from audit_operator.retention.demand import period

if TYPE_CHECKING:
    from audit_operator.retention.demand import Demand
    from audit_operator.retention.judgement import Facts

FOR_EVER = "for ever"


def searchable(demand: Demand, facts: Facts) -> str:
    """A period as people write it, or `FOR_EVER`; empty where records cannot be searched at once, or nobody can tell.

    What is deleted by order is not searchable after that, whenever the store itself would delete it.
    """
    if not facts.searchable or facts.unknown:
        return ""
    ends = [each for each in (facts.deletes_after, demand.delete_after) if each is not None]
    return period(min(ends)) if ends else FOR_EVER


@lru_cache(maxsize=4096)
def is_searchable(said: str, needed: int) -> bool:
    """Whether that is at least so many hours."""
    return said == FOR_EVER or (said != "" and hours(said) >= needed)
