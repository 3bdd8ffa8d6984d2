"""What a Loki deletes by itself, and what can be seen of it: from its configuration and its tenant's limits.

Neither can be set through its API: the configuration is a file, and the limits are another that it reads again every
few seconds. So the operator can only read them, and say what somebody should write there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from audit_operator.api.policy_status import RetentionState
from audit_operator.retention.judgement import Gap
from audit_operator.shipping.exporters import CLUSTER, NAMESPACE
from audit_operator.sinks.retention.loki_rules import NEVER, kept, period, rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audit_operator.sinks.retention.loki_rules import Kept, Rule

UNSEEN = "unseen"
LABELS = frozenset({CLUSTER, NAMESPACE, UNSEEN})
"""Attributes that must be labels of streams, so that rules and deletions can tell one namespace from another."""

SINGLE = "fake"
"""The tenant of a Loki that has only one (auth_enabled: false)."""

_FIRST = datetime(2018, 12, 1, tzinfo=UTC)
"""Nothing in a Loki is older than Loki."""
_LONGEST_QUESTION = timedelta(hours=720)
"""The default of max_query_length is an hour longer."""
_BY_DAY = 24

LATER = 24
"""Hours for which records may be there beyond their period: it deletes whole chunks, from tables of a day."""

_UNKNOWN = Gap(
    RetentionState.PARTIAL,
    "the store does not say how long it keeps records",
    "let the operator read its /config, and /runtime_config or /config/tenant/v1/limits; where the address is of a "
    "gateway, let that pass them on",
)
_TABLES = Gap(
    RetentionState.PARTIAL,
    "the store has an index that its compactor does not delete from",
    "use tsdb or boltdb-shipper with an index period of 24h, and no table_manager.retention_deletes_enabled",
)
_LOOKBACK = Gap(
    RetentionState.PARTIAL,
    "the store does not show what is older than max_query_lookback, so that nobody can see whether it is gone",
    "set max_query_lookback of the tenant to 0",
)


@dataclass(frozen=True, slots=True)
class LokiSettings:
    """What counts for one tenant.

    Attributes:
        known: whether the store says how long it keeps records; otherwise nothing may be read into the next three.
        enabled: whether it deletes by age at all.
        levels: its rules by stream, the tenant's before the global ones.
        hours: the period where no rule applies; None: for ever.
        labelled: whether `LABELS` are labels of streams that are written now.
        can_delete: whether its delete API is there, and removes records instead of hiding them.
        tables: whether something else than its compactor may delete.
        looks_back: whether questions see everything.
        since: nothing in it is older.
        longest: the longest time that one question may be about.
    """

    known: bool = False
    enabled: bool = True
    levels: tuple[tuple[Rule, ...], ...] = ()
    hours: int | None = None
    labelled: bool = False
    can_delete: bool = False
    tables: bool = False
    looks_back: bool = False
    since: datetime = _FIRST
    longest: timedelta = _LONGEST_QUESTION

    def kept(self, labels: Mapping[str, str]) -> Kept:
        """How long streams with these labels are kept by its own settings; see `loki_rules.kept`."""
        return kept(labels, self.levels if self.enabled else (), self.hours if self.enabled else None)

    def gaps(self, *, deletes: bool) -> Iterator[Gap]:
        """What stands against a demand; `deletes`: whether it asks to delete anything."""
        if not self.known:
            yield _UNKNOWN
        if self.tables:
            yield _TABLES
        if self.known and deletes and not self.looks_back:
            yield _LOOKBACK

    def __str__(self) -> str:
        said = hashlib.sha256(repr(self.levels).encode()).hexdigest()[:16]
        return (
            f"known={self.known} enabled={self.enabled} rules={said} period={self.hours} labelled={self.labelled} "
            f"can_delete={self.can_delete} tables={self.tables} looks_back={self.looks_back}"
        )


@dataclass(frozen=True, slots=True)
class Documents:
    """What Loki answered, each as the object that it is; None where it did not, or it was something else.

    Attributes:
        config: /config, of the process that was asked.
        runtime: /runtime_config, what is set for tenants beside it.
        limits: /config/tenant/v1/limits, what counts for this tenant, of what is published.
    """

    config: Mapping[str, Any] | None
    runtime: Mapping[str, Any] | None = None
    limits: Mapping[str, Any] | None = None


def has_overrides(config: Mapping[str, Any]) -> bool:
    """Whether there is a file with limits of tenants."""
    return bool(_section(config, "runtime_config").get("file")) or bool(
        _section(config, "limits_config").get("per_tenant_override_config")
    )


def loki_settings(documents: Documents, tenant: str) -> LokiSettings:
    """What counts for a tenant. What is not said surely is not known, and nothing is claimed from a default."""
    config = documents.config
    if config is None:
        return LokiSettings()
    compactor, limits = _section(config, "compactor"), _Limits.of(documents, tenant)
    own, shared = rules(limits.get("retention_stream")), rules(limits.shared.get("retention_stream"))
    hours = period(limits.get("retention_period"))
    known = limits.knows("retention_stream", "retention_period") and None not in (own, shared, hours)
    enabled = compactor.get("retention_enabled") is True
    lookback = limits.get("max_query_lookback")
    return LokiSettings(
        known=known,
        enabled=enabled,
        levels=(own or (), shared or ()),
        hours=None if not hours or hours >= NEVER else hours,
        labelled=_labelled(limits.get("otlp_config")),
        can_delete=enabled
        and bool(compactor.get("delete_request_store"))
        and limits.knows("deletion_mode")
        and limits.get("deletion_mode") == "filter-and-delete",
        tables=_other_tables(config),
        looks_back=limits.knows("max_query_lookback") and _seconds(lookback) == 0,
        since=_since(config),
        longest=_longest(limits.get("max_query_length")),
    )


@dataclass(frozen=True, slots=True)
class _Limits:
    """Limits of one tenant. `whole`: whether `own` has all that is set for it, so that the rest is as shared by all."""

    own: Mapping[str, Any]
    whole: bool
    shared: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, documents: Documents, tenant: str) -> _Limits:
        config = documents.config or {}
        shared = _section(config, "limits_config")
        if not has_overrides(config):
            return cls({}, whole=True, shared=shared)
        if documents.runtime is not None:
            return cls(_section(_section(documents.runtime, "overrides"), tenant), whole=True, shared=shared)
        return cls(documents.limits or {}, whole=False, shared=shared)

    def knows(self, *names: str) -> bool:
        """Whether these are what is set, or surely not set at all: Loki leaves out a list of rules that is empty."""
        return self.whole or all(each in self.own for each in names)

    def get(self, name: str) -> Any:
        return self.own[name] if name in self.own else self.shared.get(name)


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _labelled(otlp: Any) -> bool:
    listed = _section({"": otlp}, "").get("log_attributes")
    entries = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    named = {
        name
        for each in entries
        if each.get("action") == "index_label" and isinstance(each.get("attributes"), list)
        for name in each["attributes"]
        if isinstance(name, str)
    }
    return named >= LABELS


def _other_tables(config: Mapping[str, Any]) -> bool:
    if _section(config, "table_manager").get("retention_deletes_enabled") is True:
        return True
    return any(
        each.get("store") not in {"tsdb", "boltdb-shipper"} or period(_section(each, "index").get("period")) != _BY_DAY
        for each in _schemas(config)
    )


def _since(config: Mapping[str, Any]) -> datetime:
    """A day before the first schema, since no record can be put into a time that has none."""
    begins = []
    for each in _schemas(config):
        try:
            begins.append(datetime.fromisoformat(str(each.get("from"))).replace(tzinfo=UTC) - timedelta(days=1))
        except (ValueError, OverflowError):
            return _FIRST
    return max(_FIRST, min(begins, default=_FIRST))


def _schemas(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = _section(config, "schema_config").get("configs")
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _longest(limit: Any) -> timedelta:
    hours = period(limit)
    return _LONGEST_QUESTION if not hours else min(_LONGEST_QUESTION, timedelta(hours=hours))


def _seconds(duration: Any) -> int | None:
    """0 only for a duration that is none."""
    text = str(duration)
    return 0 if text in {"0", "0s"} else None
