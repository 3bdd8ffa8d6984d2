"""When the lifecycle rules of a bucket delete what lies below a prefix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.retention.folders import SINK_FOLDER

if TYPE_CHECKING:
    from minio.lifecycleconfig import LifecycleConfig, Rule

_DAY = 24


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Ages in hours at which rules delete below the prefix.

    Attributes:
        earliest: at which the first of them deletes anything that may be a record; None: none does.
        all_by: at which everything is gone for good, older versions too; None: that is not sure to happen.
        dated: whether a rule deletes on a date, whatever the age.
    """

    earliest: int | None
    all_by: int | None
    dated: bool


def lifecycle(config: LifecycleConfig | None, prefix: str, home: str, *, versioned: bool) -> Lifecycle:
    """What the enabled rules do to objects whose keys begin with the prefix; None: there are no rules.

    `home` is where folders of the sink's classes lie below it; folders of other sinks beside it are not its own.
    """
    rules = [
        each for each in (config.rules if config else ()) if each.status == "Enabled" and each.expiration is not None
    ]
    of_sinks = f"{prefix}{SINK_FOLDER}"
    near = [
        each
        for each in rules
        if _meet(_prefix(each), prefix) and (_meet(_prefix(each), home) or not _prefix(each).startswith(of_sinks))
    ]
    expirations = [each.expiration for each in near if each.expiration is not None]
    days = [each.days for each in expirations if each.days]
    whole = [_gone_after(each, versioned=versioned) for each in near if _is_whole(each, prefix)]
    sure = [each for each in whole if each is not None]
    return Lifecycle(
        min(days) * _DAY if days else None,
        min(sure) * _DAY if sure else None,
        any(each.date is not None for each in expirations),
    )


def _meet(one: str, other: str) -> bool:
    """Whether an object can lie below both."""
    return one.startswith(other) or other.startswith(one)


def _prefix(rule: Rule) -> str:
    chosen = rule.rule_filter
    if chosen is None:
        return ""
    return str((chosen.and_operator.prefix if chosen.and_operator else chosen.prefix) or "")


def _is_whole(rule: Rule, prefix: str) -> bool:
    """Whether it is surely about every object below the prefix.

    The library drops what it does not know: the prefix of rules in the former form, which have no filter, and sizes
    beside a prefix. So rules of both kinds may be about less than they say.
    """
    chosen = rule.rule_filter
    return chosen is not None and prefix.startswith(_prefix(rule)) and not (chosen.tag or chosen.and_operator)


def _gone_after(rule: Rule, *, versioned: bool) -> int | None:
    """Days until nothing is left: where there are versions, to expire an object only hides it."""
    days = rule.expiration.days if rule.expiration else None
    if not days or not versioned:
        return days
    older = rule.noncurrent_version_expiration
    return days + older.noncurrent_days if older is not None and older.noncurrent_days else None
