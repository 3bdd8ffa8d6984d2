"""What alerts of detections say; tests/integration/test_detection_rules.py shows when they fire."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from audit_operator.api.detection import Detection, DetectionKey, DetectionPreset, Selection
from audit_operator.api.findings import ObjectRef
from audit_operator.detections.alert_rules import ALERT, rule_group
from audit_operator.detections.own import preset_detections, resolve
from audit_operator.detections.promql import expression
from audit_operator.detections.series import condition_id

CLUSTER = ObjectRef("ClusterAuditPolicy", "base")
TENANT = ObjectRef("AuditPolicy", "web", "shop")


def rule(holder, own, **given):
    """The alert of what is told apart."""
    return rule_group(holder, [own], **given)["rules"][0]


def test_what_had_no_room_has_an_alert_that_says_nothing_of_whose_it_is():
    own = resolve(Detection(name="d", preset=DetectionPreset.FORBIDDEN_BURST))
    told, rest = rule_group(TENANT, [own], runbook="https://r/x")["rules"]
    assert rest["alert"] == told["alert"]
    assert rest["labels"] == {**told["labels"], "told_apart": "no"}
    assert rest["annotations"]["query"] == "audit-operator query -n shop --since 15m --code=403"
    assert rest["annotations"]["runbook_url"] == told["annotations"]["runbook_url"]
    assert "$labels" not in rest["annotations"]["summary"]


def test_what_tells_nothing_apart_but_namespaces_has_room_and_one_alert():
    for keys in ((), (DetectionKey.NAMESPACE,)):
        own = resolve(Detection(name="d", selection=Selection(), group_by=keys))
        for holder in (CLUSTER, TENANT):
            [only] = rule_group(holder, [own])["rules"]
            assert "told_apart" not in only["labels"]
            assert "crowded" not in only["expr"]


def test_an_alert_says_whose_detection_it_is_and_how_bad():
    own = resolve(Detection(name="d", preset=DetectionPreset.EXEC))
    assert rule(TENANT, own)["alert"] == ALERT
    assert rule(TENANT, own)["labels"] == {
        "detection_name": "d",
        "policy_kind": "AuditPolicy",
        "policy_namespace": "shop",
        "policy_name": "web",
        "namespace": "shop",
        "severity": "high",
    }
    assert "policy_namespace" not in rule(CLUSTER, own)["labels"]
    assert rule(CLUSTER, own, namespace="audit-system")["labels"]["namespace"] == "audit-system"


def test_it_links_to_the_runbook_where_that_is_published():
    own = resolve(Detection(name="d", preset=DetectionPreset.EXEC))
    assert rule(TENANT, own, runbook="https://r/x")["annotations"]["runbook_url"] == "https://r/x#auditdetection"
    assert "runbook_url" not in rule(TENANT, own)["annotations"]


def test_a_tenants_alert_sees_events_of_its_namespace_alone():
    for own in preset_detections():
        selectors = re.findall(r"detection_events_total\{([^}]*)\}", expression(own, "shop"))
        identity = condition_id(own, namespaced=True)
        assert set(selectors) == {f'detection="{identity}", probe="", object_namespace="shop"'}


def test_a_long_window_costs_no_more_values_than_a_short_one():
    own = resolve(Detection(name="d", preset=DetectionPreset.EXEC))
    for window in (1, 300, 3600):
        assert re.findall(r"\[(\w+)\]", expression(replace(own, window=window))).count(f"{window}s") == 4
    for window in (3601, 86_400, 99_999 * 60):
        found = set(re.findall(r"\[(\w+)(?::(\d+)s)?\]", expression(replace(own, window=window))))
        assert {length for length, _ in found} == {"1h", f"{window}s"}
        assert all(window / int(step) <= 240 for _, step in found if step)


def command(holder, own):
    """The command of an alert, with every value of the group put in."""
    text = rule(holder, own)["annotations"]["query"]
    chosen = re.sub(r"\{\{ if [^}]*\}\}(.*?)\{\{ else \}\}.*?\{\{ end \}\}", r"\1", text)
    return re.sub(r"'\{\{ \$labels\.(\w+) \|[^}]*\}\}'", r"\1", chosen)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (
            resolve(Detection(name="d", preset=DetectionPreset("ForbiddenBurst"))),
            "--since 15m --code=403 --user=user --contains=source",
        ),
        (
            resolve(Detection(name="d", preset=DetectionPreset("SecretEnumeration"))),
            "--since 15m --resource=secrets --user=user",
        ),
        (
            resolve(Detection(name="d", preset=DetectionPreset("TokenMinting"))),
            "--since 20m --verb=create --code=201 --resource=serviceaccounts/token --user=user",
        ),
        (resolve(Detection(name="d", selection=Selection(users=("a b",)), window="30s")), "--since 11m --user='a b'"),
    ],
)
def test_the_command_asks_for_what_is_known_of_the_events(own, words):
    assert command(TENANT, own) == f"audit-operator query -n shop {words}"


def test_events_of_all_namespaces_are_collected_as_an_incident():
    own = resolve(Detection(name="d", preset=DetectionPreset.FORBIDDEN_BURST))
    assert command(CLUSTER, own) == "audit-operator incident --since 15m --user=user -o incident-d"


def test_what_a_terminal_would_act_on_is_no_part_of_a_command():
    own = resolve(Detection(name="d", selection=Selection(users=("\x1b[201~\nrm -rf /\n",))))
    assert command(TENANT, own) == "audit-operator query -n shop --since 15m"


def test_a_group_has_a_name_of_its_own_for_each_policy():
    names = {rule_group(each, [])["name"] for each in (CLUSTER, TENANT, ObjectRef("AuditPolicy", "web", "other"))}
    assert len(names) == 3


def test_every_key_can_be_grouped_by_and_counted():
    for key in DetectionKey:
        own = resolve(Detection(name="d", selection=Selection(), group_by=(key,), distinct=key))
        assert "$labels" in rule(CLUSTER, own)["annotations"]["summary"]
