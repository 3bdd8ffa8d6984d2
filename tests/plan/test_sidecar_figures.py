from __future__ import annotations

import pytest

from audit_operator.api.conditions import ConditionStatus, ConditionType, Reason
from audit_operator.api.parsing import to_json
from audit_operator.plan.claim import false, true, unknown
from audit_operator.plan.sidecar_figures import NOT_ASKED, SidecarFigures, SidecarTotals, Trouble, stepped
from audit_operator.plan.sidecars import Lack, SidecarCount, with_sidecars
from tests.plan.test_sidecars import POLICY, seen
from tests.shipping.injection.pods import pod

FLOWING = true(ConditionType.SHIPPING, Reason.SHIPPING, "")
MISSING = {Lack.NOT_INJECTED: (seen(pod()),)}


def judged(figures, claim=FLOWING, lacking=None):
    return with_sidecars(claim, POLICY, {POLICY.ref: SidecarCount(2, 2, lacking or {}, figures=figures)})


def test_what_breaks_the_standard_stands_in_status_by_source_the_most_first():
    counted = stepped({"logs/a.log": 7, "logs/b.log": 4321, "logs/c.log": 0})
    status = to_json(SidecarCount(2, 2, figures=SidecarFigures(answering=2, quarantined=counted)).status())
    assert status["answering"] == 2
    assert status["quarantined"] == [{"source": "logs/b.log", "lines": 2000}, {"source": "logs/a.log", "lines": 5}]
    [finding] = status["findings"]
    assert (finding["id"], finding["severity"]) == ("lines-quarantined", "Warning")
    assert "logs/b.log" in finding["message"]
    assert "logs check" in finding["mend"]


def test_lines_in_quarantine_are_shipped_and_take_nothing_from_shipping():
    assert judged(SidecarFigures(answering=2, quarantined={"logs/a.log": 5})) == FLOWING


def test_where_nobody_asks_status_says_nothing_of_answers():
    assert not {"answering", "quarantined"} & to_json(SidecarCount(2, 2).status()).keys()
    assert judged(None) == FLOWING


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (Trouble.LOSSY, Reason.LOSSY),
        (Trouble.DOWN, Reason.SHIPPER_DOWN),
        (Trouble.BACKLOG, Reason.BACKLOG),
    ],
)
@pytest.mark.parametrize("lacking", [None, MISSING])
def test_a_sidecar_in_trouble_makes_shipping_false_with_the_pod_and_the_mend(trouble, reason, lacking):
    claim = judged(SidecarFigures(answering=2, troubled={trouble: "web-7"}), lacking=lacking)
    assert (claim.status, claim.reason) == (ConditionStatus.FALSE, reason)
    assert "web-7" in claim.message
    assert claim.message.endswith(")")


def test_the_worst_trouble_is_told():
    figures = SidecarFigures(troubled={Trouble.BACKLOG: "a", Trouble.LOSSY: "b"})
    assert judged(figures).reason is Reason.LOSSY


def test_a_pod_cannot_make_anything_true():
    worse = false(ConditionType.SHIPPING, Reason.SINK_NOT_USABLE, "")
    assert judged(SidecarFigures(answering=2), worse) == worse
    assert judged(SidecarFigures(answering=2), lacking=MISSING).reason is Reason.SIDECARS_MISSING


def test_where_no_sidecar_answers_nothing_is_claimed():
    claim = judged(SidecarFigures(silent="web-1"))
    assert (claim.status, claim.reason) == (ConditionStatus.UNKNOWN, Reason.SIDECARS_SILENT)
    assert "web-1" in claim.message
    assert judged(SidecarFigures(answering=1, silent="web-1")) == FLOWING
    assert judged(SidecarFigures()) == FLOWING
    pending = unknown(ConditionType.SHIPPING, Reason.PENDING, "")
    assert judged(SidecarFigures(silent="web-1"), pending) == pending


def test_until_one_has_answered_nothing_is_claimed_either():
    assert "answering" not in to_json(SidecarCount(2, 2, figures=NOT_ASKED).status())
    for figures in (NOT_ASKED, SidecarFigures(is_awaited=True)):
        claim = judged(figures)
        assert (claim.status, claim.reason) == (ConditionStatus.UNKNOWN, Reason.PENDING)
    assert judged(SidecarFigures(answering=1)) == FLOWING


def test_more_records_are_no_other_status():
    one, two = (SidecarFigures(answering=1, totals=SidecarTotals(received=n)) for n in (1, 2))
    assert one == two
