"""What programs are promised of a report."""

import copy
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.parsing import to_json
from audit_operator.report.schema import report_schema
from tests.report.json_schema import faults
from tests.report.sample import HOSTILE, sample

PUBLISHED = Path(__file__).parents[2] / "docs" / "report.schema.json"
SCHEMA = json.loads(report_schema())


def written(text="x"):
    return json.loads(json.dumps(to_json(sample(text))))


def test_the_published_schema_is_that_of_the_models():
    assert PUBLISHED.read_text() == report_schema()


@given(st.sampled_from(HOSTILE))
def test_a_report_is_as_its_schema_says(text):
    assert list(faults(SCHEMA, written(text))) == []


def test_so_is_one_of_nothing():
    empty = sample().model_copy(
        update={"groups": (), "findings": (), "policies": (), "actions": (), "remarks": (), "trend": None}
    )
    assert list(faults(SCHEMA, to_json(empty) | {"actions": []})) == []


def test_what_is_not_so_is_found():
    document = written()
    broken = copy.deepcopy(document)
    broken["policies"][1]["controls"][0]["verdict"] = "Perhaps"
    broken["counts"]["covered"] = "7"
    broken["news"] = 1
    del broken["made"]
    assert len(list(faults(SCHEMA, broken))) == 4
