from datetime import UTC, datetime

import pytest
from minio.commonconfig import DISABLED, ENABLED, AndOperator, Filter, Tag, Tags
from minio.lifecycleconfig import Expiration, LifecycleConfig, NoncurrentVersionExpiration, Rule

from audit_operator.sinks.retention.s3_lifecycle import Lifecycle, lifecycle

HOME = "prod/sink=central/"
TEN = Expiration(days=10)
TAGS = Tags()
TAGS["kind"] = "old"
NOTHING = Lifecycle(None, None, dated=False)


def rule(prefix="", *, status=ENABLED, expiration=TEN, chosen=None, noncurrent=None):
    older = NoncurrentVersionExpiration(noncurrent_days=noncurrent) if noncurrent else None
    return Rule(
        status,
        rule_filter=chosen or Filter(prefix=prefix),
        expiration=expiration,
        noncurrent_version_expiration=older,
    )


@pytest.mark.parametrize(
    ("rules", "seen"),
    [
        ([], NOTHING),
        ([rule("elsewhere/")], NOTHING),
        ([rule("production")], NOTHING),
        ([rule(status=DISABLED)], NOTHING),
        ([rule("prod/sink=other/cluster=main/class=max10d/"), rule("prod/sink=central2/")], NOTHING),
        ([rule("prod/sink=central/cluster=main/")], Lifecycle(240, None, dated=False)),
        ([rule("prod/sink=c")], Lifecycle(240, None, dated=False)),
        ([rule("prod/")], Lifecycle(240, 240, dated=False)),
        ([rule("")], Lifecycle(240, 240, dated=False)),
        ([rule("prod/2026/")], Lifecycle(240, None, dated=False)),
        ([rule("prod/"), rule("", expiration=Expiration(days=30))], Lifecycle(240, 240, dated=False)),
        ([rule("prod/2026/"), rule("", expiration=Expiration(days=30))], Lifecycle(240, 720, dated=False)),
        ([rule(chosen=Filter(tag=Tag("kind", "old")))], Lifecycle(240, None, dated=False)),
        ([rule(chosen=Filter(and_operator=AndOperator("prod/", TAGS)))], Lifecycle(240, None, dated=False)),
        (
            [rule("prod/", expiration=Expiration(date=datetime(2027, 1, 1, tzinfo=UTC)))],
            Lifecycle(None, None, dated=True),
        ),
    ],
)
def test_what_may_delete_counts_for_keeping_and_what_surely_deletes_for_deleting(rules, seen):
    assert lifecycle(LifecycleConfig(rules), "prod/", HOME, versioned=False) == seen


def test_where_there_are_versions_to_expire_an_object_only_hides_it():
    hides, deletes = rule("prod/"), rule("prod/", noncurrent=5)
    assert lifecycle(LifecycleConfig([hides]), "prod/", HOME, versioned=True) == Lifecycle(240, None, dated=False)
    assert lifecycle(LifecycleConfig([deletes]), "prod/", HOME, versioned=True) == Lifecycle(240, 360, dated=False)


def test_a_bucket_without_rules_deletes_nothing():
    assert lifecycle(None, "prod/", HOME, versioned=True) == NOTHING
