"""The words that those who count and those who alert have in common."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_operator.api.detection import Detection, DetectionKey, DetectionPreset, DetectionSeverity, Selection
from audit_operator.detections.own import preset_detections, resolve
from audit_operator.detections.series import condition_id, counted_labels, group_labels, label_of

TAKEN = {"namespace", "pod", "node", "container", "service", "endpoint", "job", "instance", "detection", "probe"}


def preset(name, **changes):
    return resolve(Detection(name="d", preset=name, **changes))


def test_labels_are_none_that_prometheus_attaches_to_targets():
    assert not TAKEN & {label_of(key) for key in DetectionKey}


def test_each_preset_is_a_condition_of_its_own():
    ids = {condition_id(each, namespaced=False) for each in preset_detections()}
    assert len(ids) == len(DetectionPreset)


def test_name_threshold_window_and_severity_are_no_part_of_the_condition():
    own = preset(DetectionPreset.EXEC)
    other = replace(own, name="x", threshold=7, window=60, severity=DetectionSeverity.LOW)
    assert condition_id(own, namespaced=True) == condition_id(other, namespaced=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"group_by": (DetectionKey.SOURCE,)},
        {"distinct": DetectionKey.OBJECT},
        {"selection": Selection(verbs=("get",))},
        {"selection": Selection(except_users=("a",))},
        {"selection": Selection(users=("a",))},
        {"selection": Selection(users=("a*",))},
    ],
)
def test_what_selects_or_labels_is_part_of_the_condition(changes):
    ids = {condition_id(preset(DetectionPreset.EXEC, **each), namespaced=False) for each in ({}, changes)}
    assert len(ids) == 2


def test_the_order_of_keys_is_no_part_of_the_condition():
    there, back = ((DetectionKey.USER, DetectionKey.SOURCE), (DetectionKey.SOURCE, DetectionKey.USER))
    ids = {condition_id(preset(DetectionPreset.EXEC, group_by=each), namespaced=False) for each in (there, back)}
    assert len(ids) == 1


def test_the_namespace_is_a_label_of_what_an_audit_policy_counts():
    own = preset(DetectionPreset.SECRET_ENUMERATION)
    assert group_labels(own) == ("user",)
    assert counted_labels(own, namespaced=False) == ("user", "object")
    assert counted_labels(own, namespaced=True) == ("user", "object_namespace", "object")
    assert condition_id(own, namespaced=True) != condition_id(own, namespaced=False)
