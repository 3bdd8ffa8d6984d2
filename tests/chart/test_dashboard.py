"""The dashboard is what tools/dashboard.py lays out, and Grafana can show it."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.dashboard import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chart.helm import Helm

FILE = Path(__file__).parents[2] / "charts" / "audit-operator" / "files" / "dashboard.json"
DASHBOARD = json.loads(FILE.read_text())
WIDTH = 24
GRAFANAS_OWN = {"__rate_interval", "__range"}


def panels() -> Iterator[dict[str, Any]]:
    """All, with the rows and what is folded in them."""
    for each in DASHBOARD["panels"]:
        yield each
        yield from each.get("panels", ())


def graphs() -> list[dict[str, Any]]:
    return [each for each in panels() if each["type"] != "row"]


def test_the_file_is_what_is_laid_out() -> None:
    assert FILE.read_text() == render(), "run `make manifests`"


def test_what_is_wrong_comes_first_and_the_operator_itself_last() -> None:
    rows = [each["title"] for each in DASHBOARD["panels"] if each["type"] == "row"]
    assert (rows[0], rows[-1]) == ("Is all well?", "The operator itself")
    assert DASHBOARD["panels"][0]["type"] == "row"
    assert {each["type"] for each in DASHBOARD["panels"][1:13]} == {"stat"}


def test_no_panel_lies_on_another() -> None:
    shown = DASHBOARD["panels"], *(each["panels"] for each in DASHBOARD["panels"] if each.get("panels"))
    for together in shown:
        for one, other in combinations([each["gridPos"] for each in together], 2):
            beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert all(each["gridPos"]["x"] + each["gridPos"]["w"] <= WIDTH for each in together)
    numbers = [each["id"] for each in panels()]
    assert len(numbers) == len(set(numbers))


def test_every_panel_says_what_it_shows_and_has_a_unit_and_names_no_variable_that_there_is_not() -> None:
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]} | GRAFANAS_OWN
    titles = [each["title"] for each in graphs()]
    assert all(each["description"] and each["fieldConfig"]["defaults"]["unit"] for each in graphs())
    for each in graphs():
        for target in each["targets"]:
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= variables, each["title"]
            assert target["datasource"] == each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in each["targets"]}) == len(each["targets"])
    # These stand twice: as they are, and their course.
    assert {each for each in titles if titles.count(each) > 1} == {"Logging error rate", "Detections that fire"}


def test_the_chart_brings_it_with_the_label_that_grafanas_sidecar_looks_for(helm: Helm) -> None:
    def config_map(*values: str) -> dict[str, Any]:
        objects = helm.objects("metrics.dashboard.enabled=true", *values)
        [found] = [each for each in objects if each["metadata"]["name"].endswith("-dashboard")]
        return found

    plain = config_map()
    assert plain["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(plain["data"]["audit-operator.json"]) == DASHBOARD
    assert config_map("metrics.dashboard.labels.team=audit")["metadata"]["labels"]["team"] == "audit"
