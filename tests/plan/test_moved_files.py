"""What was rendered for one place is the same for another, but for where it lies and listens."""

from __future__ import annotations

from dataclasses import replace

from audit_operator.controlplane.shipper.collector import places_of
from audit_operator.plan import plan
from audit_operator.plan.collector_files import Places, collector_files
from audit_operator.plan.moved_files import moved
from audit_operator.plan.shipping import shipping
from audit_operator.shipping.collector.yaml_text import parsed
from tests.plan.objects import cluster_policy
from tests.plan.test_shipping import SNAPSHOT, TO_CENTRAL


def test_it_is_what_would_have_been_rendered_there():
    counted = cluster_policy(
        rules=[{"level": "Metadata"}], sinkRefs=TO_CENTRAL, detections=[{"name": "exec", "preset": "Exec"}]
    )
    hidden = cluster_policy(
        "hidden", rules=[{"level": "Metadata"}], sinkRefs=TO_CENTRAL, redaction={"pseudonymize": ["Username"]}
    )
    snapshot = replace(SNAPSHOT, audit_policies=(), audit_sinks=(), cluster_audit_policies=(counted, hidden))
    planned = shipping(snapshot, plan(snapshot), "main")
    there = places_of(Places().audit_log)
    mine, theirs = (collector_files(planned, snapshot, "main", each) for each in (Places(), there))
    there_named = theirs.config.replace(theirs.table_file, "table.yaml").replace(theirs.digest, mine.digest)
    assert parsed(moved(mine, Places(), there).config) == parsed(there_named)
