"""What is set aside for a defect is what brings it out, and nothing more."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.plan.isolation import Suspect, culprits, present, suspects, without
from audit_operator.plan.snapshot import Snapshot
from tests.plan.objects import audit_policy, cluster_policy, control_plane


@given(st.integers(1, 40), st.data())
def test_exactly_the_culprits_are_found_with_few_questions(total, data):
    suspected = [Suspect(number, None) for number in range(total)]
    guilty = data.draw(st.sets(st.sampled_from(range(total)), max_size=5))
    asked = itertools.count()

    def works(aside):
        next(asked)
        return guilty <= {each.present for each in aside}

    found = culprits(suspected, works, lambda: True)
    assert {each.present for each in found} == guilty
    assert next(asked) <= 3 + 2 * max(len(guilty), 1) * (total.bit_length() + 1)


def test_where_others_are_guilty_or_time_is_short_nobody_is_found():
    suspected = [Suspect(number, None) for number in range(8)]
    assert culprits(suspected, lambda _: False, lambda: True) is None
    assert culprits((), lambda _: True, lambda: True) is None
    assert culprits(suspected, lambda aside: len(aside) == 8, lambda: False) is None


def test_what_has_changed_is_suspected_but_nothing_cluster_wide_that_has_no_former_version():
    old, new, baseline, plane = audit_policy(), audit_policy(name="new"), cluster_policy(), control_plane()
    good = Snapshot(audit_policies=(old,), cluster_audit_policies=(baseline,), control_planes=(plane,))
    assert suspects(good, good) == ()
    changed, narrower = audit_policy(preset="Baseline"), cluster_policy(preset="Baseline")
    now = replace(good, audit_policies=(changed, new), cluster_audit_policies=(narrower, cluster_policy("another")))
    found = suspects(now, good)
    assert found == (Suspect(changed, old), Suspect(new, None), Suspect(narrower, baseline))
    assert suspects(good, None) == (Suspect(old, None),)
    left = without(now, found)
    assert left.audit_policies == (old,)
    assert [each.metadata.name for each in left.cluster_audit_policies] == ["baseline", "another"]
    assert {each.ref for each in left.invalid} == {changed.ref, new.ref, narrower.ref}
    assert present(good, found) == ()
    assert present(now, found) == found
