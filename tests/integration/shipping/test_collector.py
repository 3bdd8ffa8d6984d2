"""The collector's harness itself: other tests believe it."""

from __future__ import annotations

import json

import pytest

from tests.integration.shipping.collector import CollectorFailed, run_collector

PARSED = {"receivers": {"file_log": {"operators": [{"type": "json_parser", "parse_to": "body", "parse_ints": True}]}}}


def test_lines_come_out_as_they_went_in(tmp_path):
    lines = ["plain", json.dumps({"a": "ü" * 2_000_000}), "last"]
    run = run_collector({}, [line.encode() for line in lines], tmp_path)
    assert [record.body for record in run.records] == lines
    assert "Everything is ready" in run.log


def test_values_keep_their_types(tmp_path):
    event = {"text": "x", "whole": 2**60, "part": 0.5, "yes": True, "nothing": None, "list": [1, {"a": []}], "map": {}}
    [record] = run_collector(PARSED, [json.dumps(event).encode()], tmp_path).records
    assert record.body == event


def test_a_configuration_that_cannot_run_is_shown(tmp_path):
    with pytest.raises(CollectorFailed, match="nosuch"):
        run_collector({"processors": {"nosuch": {}}}, [b"x"], tmp_path)
