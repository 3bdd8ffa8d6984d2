"""The list of controls says of every one either what is evidence of it, or why nothing is."""

from __future__ import annotations

from collections import Counter

from audit_operator.api.compliance import Framework
from audit_operator.compliance.controls import EvidenceKind, builtin_controls, controls_of
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.retention.frameworks import REQUIREMENTS

OF_ACTIONS = {EvidenceKind.RECORDED, EvidenceKind.NOT_LEAKED}


def named_by_actions():
    catalogue = builtin_catalogue()
    return {(name, each) for action in catalogue.actions for name, ids in action.frameworks.items() for each in ids}


def test_every_framework_has_controls():
    assert all(controls_of([each]) for each in Framework)


def test_no_control_stands_twice():
    assert max(Counter((each.framework, each.id) for each in builtin_controls()).values()) == 1


def test_every_control_that_an_action_is_evidence_for_is_there():
    assert named_by_actions() <= {(each.framework, each.id) for each in builtin_controls()}


def test_a_control_that_is_judged_by_actions_has_actions():
    judged = {(each.framework, each.id) for each in builtin_controls() if OF_ACTIONS.intersection(each.evidence)}
    assert judged <= named_by_actions()


def test_retention_is_judged_by_the_same_numbers_that_stores_are_asked_for():
    longest = {
        each: max(control.minimum_hours for control in controls_of([each]))
        for each in (Framework.PCI_DSS_4, Framework.HIPAA)
    }
    assert longest == {each.framework: each.minimum for each in REQUIREMENTS if each.framework in longest}


def test_a_control_whose_words_nobody_has_read_says_so():
    assert all(str(each).endswith(" (unverified)") != each.verified for each in builtin_controls())
    assert 0 < sum(each.verified for each in builtin_controls()) < len(builtin_controls())


def test_what_judges_people_is_judged_by_nobody():
    of_soc2 = controls_of([Framework.SOC2])
    assert of_soc2
    assert all(each.cannot_be_judged for each in of_soc2)
