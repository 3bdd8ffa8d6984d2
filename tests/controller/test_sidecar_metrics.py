from __future__ import annotations

from audit_operator.api.findings import ObjectRef
from audit_operator.controller.metrics import Metrics
from audit_operator.plan.sidecars import Lack, SidecarCount
from tests.plan.test_sidecars import seen
from tests.shipping.injection.pods import pod

PCI = ObjectRef("AuditPolicy", "pci", "payments")


def test_pods_are_shown_by_what_they_carry_and_go_with_their_policy():
    facts = {PCI: SidecarCount(3, 1, {Lack.NO_VOLUME: (seen(pod(), "a"), seen(pod(), "b"))})}
    metrics = Metrics()
    metrics.follow_sidecars(lambda: facts)

    def shown(state):
        labels = {"namespace": "payments", "policy": "pci", "state": state}
        return metrics.registry.get_sample_value("audit_operator_sidecar_pods", labels)

    assert (shown("Injected"), shown("NoVolume"), shown("Stale")) == (1, 2, None)
    facts.clear()
    assert shown("Injected") is None
