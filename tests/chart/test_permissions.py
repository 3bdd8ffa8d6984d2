"""What the chart grants is what is expected of its accounts: no more, and nothing that is not granted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from audit_operator.permissions.evaluation import evaluate
from audit_operator.permissions.places import Places
from audit_operator.permissions.rbac import rbac_of
from tests.chart.helm import EVERYTHING, NAMESPACE
from tests.chart.snapshots import VALUES
from tests.permissions.objects import EXPECTED

if TYPE_CHECKING:
    from tests.chart.helm import Helm

SECRETS = "shipper.secretNamespaces={*}"
WEBHOOK = "sidecar.mechanism=Webhook"
PLACES = Places(frozenset({NAMESPACE, f"{NAMESPACE}-agent"}), frozenset({"logs"}))


@pytest.mark.parametrize(
    "values",
    [(), EVERYTHING, (*EVERYTHING, SECRETS, WEBHOOK), ("gateway.enabled=true",), VALUES["reader"], VALUES["sealer"]],
)
def test_nobody_of_the_chart_is_unexpected(helm: Helm, values: tuple[str, ...]) -> None:
    found = evaluate(rbac_of(helm.objects(*values)), PLACES, EXPECTED)
    assert {(str(each.subject), each.access.id) for each in found if not each.expected} == set()


def test_nothing_is_expected_that_the_chart_never_grants(helm: Helm) -> None:
    granted = {
        (each.subject, each.access.id)
        for values in ((*EVERYTHING, SECRETS, WEBHOOK), ("gateway.enabled=true",))
        for each in evaluate(rbac_of(helm.objects(*values)), PLACES, EXPECTED)
    }
    expected = {(who, access) for who, ids in EXPECTED.installation.accounts() for access in ids}
    assert expected - granted == set()
