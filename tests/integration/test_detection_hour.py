"""An hour of traffic in a second: its events as `detections test` reads them, and as Prometheus sees them counted.

Every 15 s of the hour become one scrape of what a shipper would have counted by then; promtool evaluates the rules of
all presets over these.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import accumulate

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.detections.alert_rules import rule_group
from audit_operator.detections.condition import evaluate
from audit_operator.detections.history import History, value_of
from audit_operator.detections.own import preset_detections
from audit_operator.detections.series import DETECTION, EVENTS, SINCE, condition_id, keys_of, label_of
from tests.detections.hour import ATTACKS, SECONDS, attack, ordinary
from tests.integration.prometheus import promtool_says

SCRAPE = 15
OWN = preset_detections()
LATE = 60
"""Seconds that an alert may take: a scrape, and an evaluation."""


FIRST, APART = 400, 280
"""Seconds of the first attack, and between two: what begins to be scraped is first watched for a window."""
BEGUN = {preset: FIRST + APART * number for number, preset in enumerate(ATTACKS)}


def in_order(requests):
    return sorted(((at, each.event(at)) for at, each in requests), key=lambda each: each[0])


def matches(events):
    """The series that each event counts in, and when."""
    for own in OWN:
        keys = dict.fromkeys(keys_of(own))
        identity = condition_id(own, namespaced=False)
        for at, event in events:
            if evaluate(own.condition, event) is True:
                values = {label_of(key): value_of(key, event) for key in keys}
                said = ",".join(f"{name}={json.dumps(value)}" for name, value in values.items() if value)
                yield f'{EVENTS}{{job="s",instance="a",{DETECTION}="{identity}",{said}}}', at


@pytest.fixture(scope="module")
def quiet():
    return in_order(ordinary())


@pytest.fixture(scope="module")
def counted(quiet):
    return list(matches(quiet))


def episodes(events):
    history = History(OWN)
    for _, event in events:
        history.add(event)
    return history.episodes()


def scraped(found):
    """The series of a shipper, as promtool reads them."""
    yield {"series": f'{SINCE}{{job="s",instance="a"}}', "values": f"-100000x{SECONDS // SCRAPE}"}
    added = defaultdict(lambda: [0] * (SECONDS // SCRAPE + 1))
    for series, at in found:
        added[series][int(at // SCRAPE) + 1] += 1
    for series, each in added.items():
        yield {"series": series, "values": " ".join(str(total) if total else "_" for total in accumulate(each))}


def expected(at, firing):
    """Which detections fire at a second."""
    samples = [{"labels": f'{{detection_name="{each}"}}', "value": 1} for each in sorted(firing)]
    expression = 'count by (detection_name) (ALERTS{alertstate="firing"})'
    return {"expr": expression, "eval_time": f"{at}s", "exp_samples": samples}


def found_by_promtool(tmp_path, found, expectations):
    rules, scenes = tmp_path / "rules.json", tmp_path / "scenes.json"
    rules.write_text(json.dumps({"groups": [rule_group(ObjectRef("ClusterAuditPolicy", "all"), OWN)]}))
    series = list(scraped(found))
    scene = {"interval": f"{SCRAPE}s", "input_series": series, "promql_expr_test": expectations}
    scenes.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "30s", "tests": [scene]}))
    promtool_says("test", "rules", str(scenes))


def test_an_hour_of_ordinary_traffic_fires_nothing(quiet, counted, tmp_path):
    assert len(quiet) > 10_000
    assert episodes(quiet) == []
    found_by_promtool(tmp_path, counted, [expected(at, ()) for at in range(60, SECONDS, 60)])


def test_one_request_less_than_it_takes_fires_nothing(counted, tmp_path):
    nearly = in_order(each for preset, at in BEGUN.items() for each in attack(preset, at, fewer=1))
    assert episodes(nearly) == []
    moments = range(60, SECONDS, 60)
    found_by_promtool(tmp_path, [*counted, *matches(nearly)], [expected(at, ()) for at in moments])


def test_in_the_midst_of_it_every_attack_fires_and_nothing_else(quiet, counted, tmp_path):
    attacks = in_order(each for preset, at in BEGUN.items() for each in attack(preset, at))
    told = episodes(sorted([*quiet, *attacks], key=lambda each: each[0]))
    assert [each.detection.name for each in told] == list(ATTACKS)
    firing, doubtful = defaultdict(set), set()
    for each in told:
        first = BEGUN[each.detection.name]
        last, until = first + each.last - each.first, first + each.detection.window
        for at in range(0, SECONDS, 30):
            if last + LATE <= at <= until - SCRAPE:
                firing[at].add(each.detection.name)
            elif last <= at <= last + each.detection.window + LATE:
                # It is not certain yet, or any more, that it has to.
                doubtful.add(at)
    assert {name for at in firing.keys() - doubtful for name in firing[at]} == set(ATTACKS)
    moments = [at for at in range(30, SECONDS, 30) if at not in doubtful]
    found_by_promtool(tmp_path, [*counted, *matches(attacks)], [expected(at, firing[at]) for at in moments])
