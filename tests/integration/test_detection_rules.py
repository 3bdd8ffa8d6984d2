"""The rules made of detections, as Prometheus' own tool evaluates them: what fires, what does not, and what it says."""

from __future__ import annotations

import json
import random
import re
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from audit_operator.api.detection import Detection, DetectionKey, DetectionPreset, DetectionSeverity, Selection
from audit_operator.api.findings import ObjectRef
from audit_operator.detections.alert_rules import ALERT, rule_group
from audit_operator.detections.own import preset_detections, resolve
from audit_operator.detections.series import CROWDED_EVENTS, DETECTION, EVENTS, NAMESPACE, SINCE, condition_id
from tests.integration.prometheus import amtool_says, promtool_says

DOCS = Path(__file__).parents[2] / "docs" / "detections.md"
SECONDS = 15
"""Between two scrapes, which is one value of a series."""
LONG_AGO = -100_000
CLUSTER = ObjectRef("ClusterAuditPolicy", "base")
BURST = resolve(Detection(name="refused", preset=DetectionPreset.FORBIDDEN_BURST))
FIRING = 'ALERTS{alertstate="firing"}'


@dataclass(frozen=True)
class Target:
    """Something that is scraped: values of series, by labels, one for each scrape; None where it had none.

    `rare` says that None is no scrape at all, and not one that failed; `crowded` how much had no room.
    """

    name: str
    series: dict[str, list[int | None]]
    since: list[int | None] = field(default_factory=lambda: [LONG_AGO] * 200)
    own: object = BURST
    rare: bool = False
    crowded: list[int | None] | None = None

    def written(self):
        where = f'job="shippers",instance="{self.name}"'
        identity = condition_id(self.own, namespaced=False)
        gap = "_" if self.rare else "stale"
        planes = {each for labels in self.series for each in re.findall(',(control_plane="[^"]*")', labels)} or {""}
        for plane in sorted(planes):
            yield f"{SINCE}{{{','.join(filter(None, [where, plane]))}}}", _values(self.since, gap)
        for labels, values in self.series.items():
            yield f'{EVENTS}{{{where},{DETECTION}="{identity}",{labels}}}', _values(values, gap)
        if self.crowded is not None:
            yield f'{CROWDED_EVENTS}{{{where},{DETECTION}="{identity}"}}', _values(self.crowded, gap)


def _values(values, gap):
    """As promtool reads them; `gap` is for None after a value: ``stale`` where a scrape did not show the series."""
    said = []
    for before, value in zip([None, *values], values, strict=False):
        absent = gap if before is not None else "_"
        said.append(absent if value is None else str(value))
    return " ".join(said)


def nothing_then(values, at):
    """No series, then values, of which the last one stays."""
    return [None] * at + values + [values[-1]] * (200 - at - len(values))


def steady(value, *changes):
    """A value from the start, and others from given scrapes on."""
    found = [value] * 200
    for at, changed in changes:
        found[at:] = [changed] * (200 - at)
    return found


def found_by_promtool(tmp_path, targets, expected, *, own=BURST, holder=CLUSTER, **given):
    """`expected` is what a query gives at the time of a scrape, or of seconds after it."""
    rules, scenes = tmp_path / "rules.json", tmp_path / "scenes.json"
    rules.write_text(json.dumps({"groups": [rule_group(holder, [own], **given)]}, ensure_ascii=False))
    series = [{"series": name, "values": values} for each in targets for name, values in each.written()]
    queries = [
        {
            "expr": expr,
            "eval_time": f"{scrape * SECONDS}s",
            "exp_samples": [{"labels": "{}", "value": value}] if value else [],
        }
        for scrape, expr, value in expected
    ]
    scene = {"interval": f"{SECONDS}s", "input_series": series, "promql_expr_test": queries}
    document = {"rule_files": [str(rules)], "evaluation_interval": "30s", "tests": [scene]}
    scenes.write_text(json.dumps(document, ensure_ascii=False))
    promtool_says("test", "rules", str(scenes))


def fires(*scrapes):
    return [(at, f"count({FIRING})", 1) for at in scrapes]


def silent(*scrapes):
    return [(at, f"count({FIRING})", None) for at in scrapes]


def until(at, values):
    return values[:at] + [None] * (200 - at)


MALLORY = 'user="mallory",source="10.0.0.9"'
JANE = 'user="jane",source="10.0.0.1"'


def test_prometheus_reads_the_rules_of_all_presets(tmp_path):
    rules = tmp_path / "rules.json"
    groups = [
        rule_group(CLUSTER, preset_detections()),
        rule_group(ObjectRef("AuditPolicy", "p", "n"), preset_detections()),
    ]
    rules.write_text(json.dumps({"groups": groups}))
    assert f"{4 * len(DetectionPreset)} rules found" in promtool_says("check", "rules", str(rules))


def test_a_burst_of_a_source_that_was_never_seen_before_fires_for_as_long_as_the_window(tmp_path):
    target = Target("a", {MALLORY: nothing_then([20], 40)})
    found_by_promtool(tmp_path, [target], [*silent(39), *fires(42, 50, 58), *silent(64, 100)])


def test_below_the_threshold_nothing_fires(tmp_path):
    target = Target("a", {MALLORY: nothing_then([19], 40), JANE: steady(0, (40, 10), (50, 19))})
    found_by_promtool(tmp_path, [target], silent(*range(40, 80, 2)))


def test_events_that_are_further_apart_than_the_window_are_no_burst(tmp_path):
    target = Target("a", {MALLORY: nothing_then(list(range(1, 100)), 40)})  # one each 15 s, 20 in 5 minutes
    rare = Target("b", {JANE: nothing_then([each // 2 for each in range(1, 140)], 40)})
    found_by_promtool(tmp_path, [rare], silent(*range(40, 140, 10)))
    found_by_promtool(tmp_path, [target], fires(70, 100))


def test_what_two_api_servers_saw_adds_up(tmp_path):
    targets = [Target("a", {MALLORY: nothing_then([12], 40)}), Target("b", {MALLORY: steady(100, (44, 112))})]
    found_by_promtool(tmp_path, targets, [*silent(42), *fires(48)])


RESTARTED = steady(LONG_AGO, (46, 46 * SECONDS - 5))
LATTER = f'{MALLORY},start="2"'
"""What begins to count anew is another series."""


def test_a_restart_of_the_collector_hides_no_burst(tmp_path):
    before_and_after = {MALLORY: until(46, steady(5, (42, 17))), LATTER: nothing_then([12], 46)}
    more_than_before = {MALLORY: until(46, steady(5)), LATTER: nothing_then([22], 46)}
    still_shown = {MALLORY: steady(5, (42, 17)), LATTER: nothing_then([12], 46)}
    at_once = {MALLORY: nothing_then([20], 46)}
    for series in (before_and_after, more_than_before, still_shown, at_once):
        found_by_promtool(tmp_path, [Target("a", series, RESTARTED)], [*silent(44), *fires(48, 58), *silent(70)])
    while_away = {MALLORY: until(40, steady(5)), LATTER: nothing_then([20], 46)}
    since = [LONG_AGO] * 40 + [None] * 6 + [44 * SECONDS] * 100
    found_by_promtool(tmp_path, [Target("a", while_away, since)], [*silent(44), *fires(48, 58), *silent(70)])


def test_a_pod_that_takes_the_place_of_another_hides_no_burst(tmp_path):
    former = Target("a", {MALLORY: until(43, steady(3, (40, 11)))}, until(43, steady(LONG_AGO)))
    latter = Target("b", {LATTER: nothing_then([13], 46)}, nothing_then([44 * SECONDS], 46))
    found_by_promtool(tmp_path, [former, latter], [*silent(44), *fires(48), *silent(70)])


def test_pods_that_do_not_live_long_hide_no_burst(tmp_path):
    targets = [
        Target(
            f"p{at}", {MALLORY: until(at + 5, nothing_then([7], at))}, until(at + 5, nothing_then([at * SECONDS], at))
        )
        for at in (42, 47, 52)
    ]
    found_by_promtool(tmp_path, targets, [*silent(48), *fires(54, 60), *silent(80)])


def test_a_restart_of_the_collector_invents_no_burst(tmp_path):
    series = {
        MALLORY: until(46, steady(1000)),
        LATTER: nothing_then([0], 46),
        JANE: until(46, steady(1000)),
        f'{JANE},start="2"': nothing_then([3], 50),
    }
    found_by_promtool(tmp_path, [Target("a", series, RESTARTED)], silent(*range(38, 90, 2)))


def test_scrapes_that_fail_invent_no_burst_however_long(tmp_path):
    for gap in (1, 4, 30, 90, 250):
        series = [500] * 40 + [None] * gap + [500] * 60
        since = [LONG_AGO if each else None for each in series]
        found_by_promtool(tmp_path, [Target("a", {MALLORY: series}, since)], silent(*range(40, 40 + gap + 40, 3)))


def test_what_came_while_scrapes_failed_is_counted_when_they_succeed(tmp_path):
    series = [500] * 40 + [None] * 30 + [520] * 60
    since = [LONG_AGO if each else None for each in series]
    found_by_promtool(tmp_path, [Target("a", {MALLORY: series}, since)], [*silent(60), *fires(72)])


def test_a_prometheus_that_begins_to_scrape_takes_no_old_sum_for_a_burst(tmp_path):
    target = Target("a", {MALLORY: nothing_then([5000], 40)}, nothing_then([LONG_AGO], 40))
    found_by_promtool(tmp_path, [target], silent(*range(40, 70, 2)))


def test_a_prometheus_that_has_just_begun_sees_what_is_added(tmp_path):
    target = Target("a", {MALLORY: nothing_then([5000, 5000, 5020], 40)}, nothing_then([LONG_AGO], 40))
    found_by_promtool(tmp_path, [target], [*silent(40), *fires(44)])


def test_probes_do_not_fire(tmp_path):
    target = Target("a", {f'{MALLORY},probe="true"': nothing_then([100], 40)})
    found_by_promtool(tmp_path, [target], silent(42, 50))


def test_a_distinct_object_counts_once_whoever_saw_it_and_however_often(tmp_path):
    own = resolve(Detection(name="d", preset=DetectionPreset.SECRET_ENUMERATION))

    def secrets(numbers, count):
        return {f'user="mallory",object="n/secrets/{each}"': nothing_then([count], 40) for each in numbers}

    few = [Target("a", secrets(range(6), 50), own=own), Target("b", secrets(range(3, 9), 50), own=own)]
    enough = [Target("a", secrets(range(6), 1), own=own), Target("b", secrets(range(4, 10), 1), own=own)]
    found_by_promtool(tmp_path, few, silent(42, 50), own=own)
    found_by_promtool(tmp_path, enough, [*fires(42, 50), *silent(64)], own=own)


def test_scrapes_once_a_minute_count_as_much(tmp_path):
    values = [None] * 40 + [5 if at < 52 else 20 for at in range(40, 200)]
    series = [each if at % 4 == 0 else None for at, each in enumerate(values)]
    target = Target("a", {MALLORY: series}, [LONG_AGO if at % 4 == 0 else None for at in range(200)], rare=True)
    found_by_promtool(tmp_path, [target], [*silent(44, 50), *fires(54, 58), *silent(66, 100)])


@pytest.mark.parametrize("seed", range(4))
def test_what_is_counted_is_what_was_added_between_scrapes(tmp_path, seed):
    """Whatever happens to collectors and to scrapes: one restart and some failed scrapes, of each of three targets."""
    chance = random.Random(seed)
    added = [0] * 200
    targets = [_random_target(chance, f"t{number}", added) for number in range(3)]
    expr = rule_group(CLUSTER, [replace(BURST, threshold=1)])["rules"][0]["expr"].removesuffix(" >= 1")
    expected = [(at, f"max({expr})", sum(added[at - 19 : at + 1])) for at in range(60, 190, 7)]
    found_by_promtool(tmp_path, targets, [each for each in expected if each[2]])


def _random_target(chance, name, added):
    count, start, waiting = chance.randrange(1000), LONG_AGO, 0
    series, since = {LONG_AGO: [None] * 200}, [None] * 200
    restart, failing = chance.randrange(40, 180), chance.randrange(40, 180)
    for at in range(200):
        if at == restart:
            # What was not scraped before is nowhere.
            count, start, waiting = 0, at * SECONDS - 5, 0
            series[start] = [None] * 200
        more = chance.choice([0, 0, 0, 1, 5])
        count, waiting = count + more, waiting + more
        if not failing <= at < failing + 3:
            series[start][at], since[at] = count, start
            added[at], waiting = added[at] + waiting, 0
    return Target(name, {f'{MALLORY},start="{start}"': values for start, values in series.items()}, since)


@pytest.mark.parametrize("window", [300, 1800])
@pytest.mark.parametrize("at", [0, 10])
def test_what_an_earlier_collector_had_counted_is_no_burst_for_a_prometheus_that_is_new(tmp_path, at, window):
    """A collector is reloaded before its target is scraped first, or soon after; its old counts are shown meanwhile."""
    since = [LONG_AGO] * (at + 40) + [at * SECONDS] * (160 - at)
    old = [500] * (at + 40) + [None] * (160 - at)
    target = Target("a", {f'{MALLORY},start="1"': old, f'{JANE},start="2"': nothing_then([1, 2], at + 3)}, since)
    found_by_promtool(tmp_path, [target], silent(*range(1, 190, 3)), own=replace(BURST, window=window))


def test_control_planes_are_not_added_up(tmp_path):
    series = {f'{MALLORY},control_plane="{name}"': nothing_then([10], 40) for name in ("main", "edge")}
    since = [LONG_AGO] * 200
    for plane, expected in (("main", silent(39, 44, 50)), ("", fires(44, 50))):
        found_by_promtool(tmp_path, [Target("a", series, since)], expected, plane=plane)


def test_a_burst_on_one_control_plane_fires_for_it(tmp_path):
    target = Target("a", {f'{MALLORY},control_plane="main"': nothing_then([20], 40)})
    found_by_promtool(tmp_path, [target], [*silent(39), *fires(44, 50)], plane="main")


def crowded_fires(*scrapes):
    return [(at, f'count({FIRING[:-1]},told_apart="no",user="",source=""}})', 1) for at in scrapes]


def test_a_burst_of_events_that_had_no_room_fires_though_nobody_knows_whose_they_are(tmp_path):
    target = Target("a", {JANE: steady(1)}, crowded=nothing_then([12, 12, 12, 12, 20], 40))
    found_by_promtool(tmp_path, [target], [*silent(39, 42), *crowded_fires(47, 58), *fires(47), *silent(68, 100)])
    two = [Target(name, {JANE: steady(1)}, crowded=steady(7, (40, 17))) for name in "ab"]
    found_by_promtool(tmp_path, two, [*silent(39), *crowded_fires(44)])


def test_fewer_events_than_it_takes_fire_nothing_though_they_had_no_room(tmp_path):
    target = Target("a", {JANE: steady(1)}, crowded=steady(500, (40, 519)))
    found_by_promtool(tmp_path, [target], silent(*range(39, 70, 2)))


def test_who_was_told_apart_before_there_was_no_room_may_have_sent_the_rest(tmp_path):
    told = {MALLORY: steady(1, (40, 16)), JANE: steady(9, (40, 19))}
    targets = [Target("a", told), Target("b", {JANE: steady(1)}, crowded=nothing_then([5], 42))]
    found_by_promtool(tmp_path, targets, [*silent(41), *crowded_fires(46, 58), *silent(64)])
    fewer = [targets[0], replace(targets[1], crowded=nothing_then([4], 42))]
    found_by_promtool(tmp_path, fewer, silent(*range(40, 70, 2)))


def test_who_fires_alone_makes_no_second_alert(tmp_path):
    target = Target("a", {MALLORY: steady(1, (40, 31))}, crowded=nothing_then([5], 42))
    expected = [(at, f'count({FIRING[:-1]},told_apart="no"}})', None) for at in (44, 50)]
    found_by_promtool(tmp_path, [target], [*expected, *fires(44, 50)])


def test_what_had_no_room_may_be_as_many_different_objects(tmp_path):
    own = resolve(Detection(name="d", preset=DetectionPreset.SECRET_ENUMERATION))
    told = {f'user="mallory",object="n/secrets/{each}"': nothing_then([3], 40) for each in range(6)}
    for more, expected in ((4, crowded_fires(44, 50)), (3, silent(44, 50))):
        target = Target("a", told, own=own, crowded=nothing_then([more], 40))
        found_by_promtool(tmp_path, [target], expected, own=own)


def test_where_others_have_taken_all_room_a_namespace_has_its_alert_all_the_same(tmp_path):
    tenant, identity = ObjectRef("AuditPolicy", "web", "shop"), condition_id(BURST, namespaced=True)
    others = {f'user="{number}",{NAMESPACE}="dev"': nothing_then([1], 30) for number in range(300)}
    where = f'job="shippers",instance="a",{DETECTION}="{identity}"'
    series = [
        *Target("a", {}).written(),
        *((f"{EVENTS}{{{where},{labels}}}", _values(values, "stale")) for labels, values in others.items()),
        (f'{CROWDED_EVENTS}{{{where},{NAMESPACE}="shop"}}', _values(nothing_then([20], 40), "stale")),
        (f'{CROWDED_EVENTS}{{{where},{NAMESPACE}="dev"}}', _values(nothing_then([900], 70), "stale")),
    ]
    expected = [*silent(39), *crowded_fires(43, 50), *silent(72)]
    found_by_promtool(tmp_path, [_Written(series)], expected, holder=tenant)


@dataclass(frozen=True)
class _Written:
    found: list[tuple[str, str]]

    def written(self):
        return self.found


HOSTILE = [
    '{{ printf "%s" .Labels }}',
    "{{ $labels.user }}",
    'a"} or vector(1) #',
    "'; touch /tmp/pwned; '",
    "$(touch /tmp/pwned)",
    "`id`",
    "back\\slash",
    "žluťoučký 🐎 {{",
    "a{{",
    "}}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_callers_are_called_stays_a_value_in_labels_summary_and_command(tmp_path, text):
    series = {f'user={json.dumps(text, ensure_ascii=False)},source="10.0.0.9"': nothing_then([20], 40)}
    rule = rule_group(CLUSTER, [BURST])["rules"][0]
    labels = {**rule["labels"], "user": text, "source": "10.0.0.9"}
    command = f"audit-operator incident --since 15m --user={_single_quoted(text)} -o incident-refused"
    assert shlex.split(command)[4] == f"--user={text}"
    annotations = {
        "summary": f"refused: 20 events within 300 s, user {text}, source 10.0.0.9",
        "description": f"{CLUSTER} looks for this. What came, and from whom, is in the records:\n{command}",
        "query": command,
    }
    _alerts(tmp_path, (CLUSTER, BURST), series, labels, annotations)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_policy_says_is_taken_literally(tmp_path, text):
    """Names cannot be like that, by the models; what is made of them does not rest on it."""
    own = replace(
        resolve(Detection(name="d", selection=Selection(users=(text,)), group_by=(DetectionKey.USER,))),
        name=text,
        severity=DetectionSeverity.CRITICAL,
    )
    holder = ObjectRef("ClusterAuditPolicy", text)
    labels = {
        "detection_name": text,
        "policy_kind": "ClusterAuditPolicy",
        "policy_name": text,
        "severity": "critical",
        "user": "jane",
    }
    rule = rule_group(holder, [own])["rules"][0]
    folder = shlex.quote(f"incident-{text}")
    command = f"audit-operator incident --since 15m --user={shlex.quote(text)} -o {folder}"
    assert shlex.split(command)[-1] == f"incident-{text}"
    annotations = {
        "summary": f"{text}: 1 events within 300 s, user jane",
        "description": f"{holder} looks for this. What came, and from whom, is in the records:\n{command}",
        "query": command,
    }
    assert rule["alert"] == ALERT
    _alerts(tmp_path, (holder, own), {'user="jane"': nothing_then([1], 40)}, labels, annotations)


def _single_quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def _alerts(tmp_path, rule, series, labels, annotations):
    rules, scenes = tmp_path / "rules.json", tmp_path / "scenes.json"
    holder, own = rule
    rules.write_text(json.dumps({"groups": [rule_group(holder, [own])]}, ensure_ascii=False))
    target = Target("a", series, own=own)
    alert = {
        "eval_time": f"{44 * SECONDS}s",
        "alertname": ALERT,
        "exp_alerts": [{"exp_labels": labels, "exp_annotations": annotations}],
    }
    scene = {
        "interval": f"{SECONDS}s",
        "input_series": [{"series": name, "values": values} for name, values in target.written()],
        "alert_rule_test": [alert],
    }
    document = {"rule_files": [str(rules)], "evaluation_interval": "30s", "tests": [scene]}
    scenes.write_text(json.dumps(document, ensure_ascii=False))
    promtool_says("test", "rules", str(scenes))


@pytest.fixture
def alertmanager_file(tmp_path):
    [text] = re.findall(r"```yaml title=alertmanager.yml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (tmp_path / "alertmanager.yml").write_text(text)
    return str(tmp_path / "alertmanager.yml")


def test_alertmanager_reads_the_file_in_the_documentation(alertmanager_file):
    assert "SUCCESS" in amtool_says("check-config", alertmanager_file)


@pytest.mark.parametrize(
    ("holder", "severity", "receiver"),
    [
        (ObjectRef("AuditPolicy", "p", "shop"), DetectionSeverity.CRITICAL, "shop"),
        (ObjectRef("AuditPolicy", "p", "other"), DetectionSeverity.CRITICAL, "platform"),
        (CLUSTER, DetectionSeverity.CRITICAL, "platform-on-call"),
        (CLUSTER, DetectionSeverity.MEDIUM, "platform"),
    ],
)
def test_it_tells_tenants_of_theirs_and_the_platform_of_its_own(alertmanager_file, holder, severity, receiver):
    rule = rule_group(holder, [replace(BURST, severity=severity)], namespace=holder.namespace or "system")["rules"][0]
    labels = [f"{name}={value}" for name, value in {"alertname": rule["alert"], **rule["labels"]}.items()]
    assert amtool_says("config", "routes", "test", f"--config.file={alertmanager_file}", *labels).strip() == receiver
