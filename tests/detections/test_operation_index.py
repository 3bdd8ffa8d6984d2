from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.detections import condition as language
from audit_operator.detections.condition import Constant, Every, Field, Negation, Some, fold, may_be
from audit_operator.detections.firing import _of_operation
from audit_operator.detections.own import condition_of, preset_detections
from audit_operator.detections.pattern import Comparison, Pattern
from audit_operator.detections.universe import _index
from audit_operator.detections.work import Work, WorkEndedError
from tests.detections.hostile import SELECTIONS
from tests.examples import examples

PATHS = [("verb",), ("objectRef", "resource"), ("objectRef", "subresource"), ("objectRef", "apiGroup"), ("userAgent",)]
patterns = st.builds(
    Pattern, st.sampled_from([Comparison.EQUALS, Comparison.GLOB]), st.sampled_from(["get", "pods", "*s", "apps"])
)
tests = st.builds(
    language.Test,
    st.sampled_from(PATHS).map(Field),
    st.lists(patterns, max_size=2).map(tuple),
    every=st.booleans(),
    unknown_if_absent=st.booleans(),
)
conditions = st.recursive(
    tests | st.sampled_from([True, False, None]).map(Constant),
    lambda inner: st.one_of(
        inner.map(Negation), *(st.lists(inner, max_size=3).map(tuple).map(kind) for kind in (Every, Some))
    ),
    max_leaves=6,
)


def assert_same(condition, namespace=""):
    found = list(_index().about(condition, namespace, Work()))
    asked = [each for each in _index().operations if each.in_namespace or not namespace]
    assert found == [each for each in asked if may_be(fold(condition, partial(_of_operation, each)), truth=True)]


@given(condition=conditions, namespace=st.sampled_from(["", "web"]))
@settings(max_examples=examples(100), deadline=None)
def test_the_index_has_the_operations_that_one_would_find_by_asking_each(condition, namespace):
    assert_same(condition, namespace)


@pytest.mark.parametrize("detection", preset_detections(), ids=lambda each: each.name)
def test_of_presets_too(detection):
    assert_same(detection.condition)


def test_looking_is_work():
    with pytest.raises(WorkEndedError):
        list(_index().about(condition_of(SELECTIONS["many resources"]), "", Work(100)))
