from __future__ import annotations

import copy
import dataclasses
import json

import pytest

from audit_operator.api.conditions import ConditionStatus, ConditionType, Reason
from audit_operator.api.findings import Finding, Severity
from audit_operator.api.parsing import to_json
from audit_operator.plan.claim import false, true, unknown
from audit_operator.plan.planning import plan
from audit_operator.plan.sidecars import Lack, count, not_collected, with_sidecars
from audit_operator.plan.snapshot import Snapshot
from audit_operator.plan.status import statuses
from audit_operator.shipping.injection.eligibility import Obstacle
from audit_operator.shipping.injection.patch import _add, patch
from audit_operator.shipping.injection.pod import pod_of
from audit_operator.shipping.injection.template import SidecarTemplate
from tests.plan.objects import cluster_policy, control_plane
from tests.shipping.injection.pods import LABELS, LEFT_ALONE, SELECTIVE, TEMPLATE, TEMPLATE_TEXT, model, pod, policy

CREATED, BEFORE, AFTER = "2026-01-01T12:00:00Z", "2026-01-01T11:59:59Z", "2026-01-01T12:00:01Z"
POLICY = model({**SELECTIVE, "metadata": {**SELECTIVE["metadata"], "creationTimestamp": CREATED}})
FLOWING = true(ConditionType.SHIPPING, Reason.SHIPPING, "")
ONE_SINK_REFUSED = Finding("sink-not-for-sidecars", Severity.ERROR, "not to this one", "use another")
NO_SINK = Finding("application-logs-not-shipped", Severity.ERROR, "there is no sink", "name one")


def seen(document, name="web-1", created=AFTER, **metadata):
    return pod_of(
        {
            **document,
            "metadata": {**document["metadata"], "name": name, "creationTimestamp": created, **metadata},
        },
        "payments",
    )


def injected(document, name="web-1", created=AFTER, template=TEMPLATE, by=SELECTIVE, **metadata):
    result = copy.deepcopy(document)
    for each in patch(document, "payments", [model(by)], template):
        _add(result, each["path"], each["value"])
    return seen(result, name, created, **metadata)


def counted(*pods, of=POLICY, **more):
    return count(of, pods, TEMPLATE, **more)


def judged(claim, result):
    return with_sidecars(claim, POLICY, {} if result is None else {POLICY.ref: result})


def condition(status, type_):
    return next(each for each in status["conditions"] if each["type"] == type_)


def reasons(result):
    return {why: len(pods) for why, pods in result.lacking.items()}


def test_pods_are_expected_injected_stale_or_missing_and_nothing_else():
    older = SidecarTemplate.parse(TEMPLATE_TEXT.replace("160Mi", "200Mi"))
    result = counted(injected(pod()), injected(pod(), template=older), seen(pod()), seen(LEFT_ALONE["without labels"]))
    status = result.status()
    assert (status.expected, status.injected, status.stale, status.missing) == (3, 1, 1, 1)
    assert sum(each.pods for each in status.reasons) == 2


def test_a_pod_that_was_opted_out_or_is_not_selected_or_has_ended_is_not_expected():
    ended = seen({**pod(), "status": {"phase": "Succeeded"}})
    deleted = seen(pod(), deletionTimestamp=AFTER)
    others = [seen(LEFT_ALONE[name]) for name in ("opted out by label", "opted out by annotation", "In fails")]
    assert counted(ended, deleted, *others).expected == 0


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("without the volume", Lack.NO_VOLUME),
        ("the volume is a secret", Lack.NO_VOLUME),
        ("the volume is a block device", Lack.NO_VOLUME),
        ("for Windows", Lack.CANNOT_RUN),
        ("for Windows by its node selector alone", Lack.CANNOT_RUN),
        ("has resources as a whole", Lack.POD_RESOURCES),
        ("has a container of that name", Lack.NAME_TAKEN),
        ("has an init container of that name", Lack.NAME_TAKEN),
        ("has a volume of that name", Lack.NAME_TAKEN),
    ],
)
def test_the_reason_says_what_stands_in_the_way(name, why):
    assert reasons(counted(seen(LEFT_ALONE[name]))) == {why: 1}
    assert not why.is_mended_by_restart


def test_a_pod_that_stood_before_the_policy_is_told_from_one_that_came_without():
    assert reasons(counted(seen(pod(), created=BEFORE))) == {Lack.OLDER_THAN_POLICY: 1}
    assert reasons(counted(seen(pod(), created=CREATED))) == {Lack.OLDER_THAN_POLICY: 1}
    assert reasons(counted(seen(pod(), created=AFTER))) == {Lack.NOT_INJECTED: 1}


def test_a_sidecar_that_reads_other_volumes_than_the_policy_names_is_stale():
    only_more = model(policy(files=[{"volume": "more", "path": "a"}]))
    both = pod(volumes=[{"name": "logs", "emptyDir": {}}, {"name": "more", "emptyDir": {}}])
    assert reasons(counted(injected(both), of=only_more)) == {Lack.STALE: 1}
    assert counted(injected(both)).injected == 1


def test_a_container_that_only_bears_the_name_is_no_sidecar():
    forged = seen(pod(initContainers=[{"name": "audit-shipper-pci", "image": "other:1", "restartPolicy": "Always"}]))
    assert reasons(counted(forged)) == {Lack.NAME_TAKEN: 1}
    with_annotation = seen(
        pod(
            {"annotations": {"sidecar.audit-operator.dev/pci": TEMPLATE.revision}, "labels": LABELS},
            initContainers=[{"name": "audit-shipper-pci", "image": "other:1", "restartPolicy": "Always"}],
        )
    )
    assert reasons(counted(with_annotation)) == {Lack.NAME_TAKEN: 1}


def with_image(document, image):
    """The pod as injected, and then changed by something else in the cluster."""
    result = copy.deepcopy(document)
    for each in patch(document, "payments", [model(SELECTIVE)], TEMPLATE):
        _add(result, each["path"], each["value"])
    [shipper] = [each for each in result["spec"]["initContainers"] if each["name"] == "audit-shipper-pci"]
    shipper["image"] = image
    return result


def test_a_sidecar_whose_image_the_cluster_rewrote_is_injected_and_the_status_says_so():
    mirrored = with_image(pod(), "mirror.example/audit-operator@sha256:abc")
    result = counted(seen(mirrored, "web-2"), seen(mirrored, "web-1"), injected(pod(), "web-0"), findings=(NO_SINK,))
    assert (result.expected, result.injected, result.lacking) == (3, 3, {})
    first, said = result.findings
    assert first == NO_SINK
    assert said.severity is Severity.INFO
    assert "the image was changed after injection" in said.message
    assert "web-1: mirror.example/audit-operator@sha256:abc" in said.message
    assert judged(FLOWING, dataclasses.replace(result, findings=(said,))) == FLOWING
    assert not counted(injected(pod())).findings


@pytest.mark.parametrize("stripped", ["command", "volumeMounts"])
def test_a_foreign_image_in_what_is_not_made_as_a_sidecar_is_none(stripped):
    forged = with_image(pod(), "other:1")
    [shipper] = [each for each in forged["spec"]["initContainers"] if each["name"] == "audit-shipper-pci"]
    shipper[stripped] = shipper[stripped][-1:]
    assert reasons(counted(seen(forged))) == {Lack.NAME_TAKEN: 1}


def test_policies_whose_names_do_not_fit_and_excluded_namespaces_are_said():
    assert reasons(counted(seen(pod()), of=model(policy("a" * 43)))) == {Lack.NAME_DOES_NOT_FIT: 1}
    there = dataclasses.replace(seen(pod()), namespace="kube-system")
    assert reasons(counted(there)) == {Lack.NAMESPACE_EXCLUDED: 1}


def test_a_sidecar_without_a_configuration_collects_nothing():
    result = counted(injected(pod()), findings=(NO_SINK,), configured=False)
    assert (result.injected, reasons(result)) == (0, {Lack.NO_SINK: 1})
    claim = judged(unknown(ConditionType.SHIPPING, Reason.NOT_REQUESTED, ""), result)
    assert (claim.holds, claim.reason, claim.message) == (False, Reason.SIDECARS_MISSING, "there is no sink (name one)")


def test_the_same_pods_make_the_same_status_in_any_order():
    pods = [seen(pod(), f"web-{number}") for number in range(5)] + [injected(pod(), "web-9")]
    first, second = counted(*pods).status(), counted(*reversed(pods)).status()
    assert json.dumps(to_json(first)) == json.dumps(to_json(second))
    assert first.reasons[0].example == "web-0"


def test_shipping_is_not_claimed_while_pods_lack_their_sidecar():
    flowing = FLOWING
    assert judged(flowing, counted(injected(pod()))) == flowing
    claim = judged(flowing, counted(injected(pod()), seen(pod(), "web-2", BEFORE)))
    assert (claim.status.value, claim.reason) == ("False", Reason.SIDECARS_MISSING)
    assert "web-2" in claim.message
    worse = false(ConditionType.SHIPPING, Reason.LOSSY, "records were given up")
    assert judged(worse, counted(seen(pod()))) == worse


CLAIMS = (
    FLOWING,
    unknown(ConditionType.SHIPPING, Reason.NOT_REQUESTED, ""),
    unknown(ConditionType.SHIPPING, Reason.NOTHING_YET, ""),
    unknown(ConditionType.SHIPPING, Reason.SHIPPER_DOWN, ""),
    false(ConditionType.SHIPPING, Reason.LOSSY, ""),
)


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("pods", [(), (injected(pod()),), (seen(pod()),)], ids=["no pods", "injected", "not injected"])
def test_shipping_is_false_wherever_an_error_is_known_whatever_the_pods(claim, pods):
    result = judged(claim, counted(*pods, findings=(ONE_SINK_REFUSED,)))
    assert result.status is ConditionStatus.FALSE
    remark = Finding("remark", Severity.WARNING, "something", "mend it")
    assert judged(claim, counted(injected(pod()), findings=(remark,))) == claim


@pytest.mark.parametrize("claim", CLAIMS)
def test_nobody_says_that_records_arrive_before_pods_were_counted(claim):
    result = judged(claim, None)
    assert result.status is (
        ConditionStatus.FALSE if claim.status is ConditionStatus.FALSE else ConditionStatus.UNKNOWN
    )
    assert result.reason is not Reason.NOT_REQUESTED


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_policy_without_application_logs_is_not_judged_on_pods(claim):
    without = policy()
    del without["spec"]["applicationLogs"]
    for sidecars in (None, {}):
        assert with_sidecars(claim, model(without), sidecars) == claim
        assert not_collected(model(without), sidecars) == ()


@pytest.mark.parametrize("claim", CLAIMS)
def test_without_any_sidecars_the_policy_says_which_value_of_the_chart_makes_them(claim):
    [finding] = not_collected(POLICY, None)
    assert (finding.id, "sidecar.enabled" in finding.mend) == ("sidecars-not-enabled", True)
    assert with_sidecars(claim, POLICY, None).status is ConditionStatus.FALSE
    assert not_collected(POLICY, {}) == ()


@pytest.mark.parametrize("sidecars", [None, {}], ids=["without sidecars", "with sidecars"])
def test_application_logs_of_a_cluster_wide_policy_are_never_claimed_and_said_once(sidecars):
    logs = {"files": [{"volume": "logs", "path": "*.log"}]}
    wide = cluster_policy(rules=[{"level": "Metadata"}], applicationLogs=logs)
    assert with_sidecars(FLOWING, wide, sidecars).status is ConditionStatus.FALSE
    snapshot = Snapshot(cluster_audit_policies=(wide,), control_planes=(control_plane(),))
    status = statuses(snapshot, plan(snapshot), {}, sidecars=sidecars)[wide.ref]
    assert [each["id"] for each in status["composition"]["findings"]] == ["application-logs-not-injected"]
    assert condition(status, "Shipping")["reason"] == "SidecarsMissing"


def test_status_says_that_sidecars_are_switched_off_or_not_counted_yet():
    snapshot = Snapshot(audit_policies=(POLICY,), control_planes=(control_plane(),))
    planned = plan(snapshot)
    off = statuses(snapshot, planned, {})[POLICY.ref]
    assert "sidecars-not-enabled" in [each["id"] for each in off["composition"]["findings"]]
    assert (condition(off, "Shipping")["status"], condition(off, "Ready")["status"]) == ("False", "False")
    early = statuses(snapshot, planned, {}, sidecars={})[POLICY.ref]
    assert condition(early, "Shipping")["status"] == "Unknown"
    assert "composition" not in early


def test_every_obstacle_is_a_reason_that_status_can_say():
    assert {each.value for each in Obstacle} < {each.value for each in Lack}


def test_a_policy_without_application_logs_counts_nothing():
    without = policy()
    del without["spec"]["applicationLogs"]
    assert counted(seen(pod()), of=model(without)) is None
