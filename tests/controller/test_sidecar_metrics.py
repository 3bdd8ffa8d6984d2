from __future__ import annotations

from audit_operator.api.findings import ObjectRef
from audit_operator.api.observations import ExporterFigures
from audit_operator.controller.metrics import Metrics
from audit_operator.plan.sidecar_figures import SidecarFigures, SidecarTotals
from audit_operator.plan.sidecars import Lack, SidecarCount
from tests.plan.test_sidecars import seen
from tests.shipping.injection.pods import pod

PCI = ObjectRef("AuditPolicy", "pci", "payments")


def test_pods_are_shown_by_what_they_carry_and_go_with_their_policy():
    facts = {PCI: SidecarCount(3, 1, {Lack.NO_VOLUME: (seen(pod(), "a"), seen(pod(), "b"))})}
    metrics = Metrics()
    metrics.follow_sidecars(lambda: facts, dict)

    def shown(state):
        labels = {"namespace": "payments", "policy": "pci", "state": state}
        return metrics.registry.get_sample_value("audit_operator_sidecar_pods", labels)

    assert (shown("Injected"), shown("NoVolume"), shown("Stale")) == (1, 2, None)
    facts.clear()
    assert shown("Injected") is None


def test_what_sidecars_have_counted_is_shown_by_source_and_sink():
    way = ExporterFigures(sent=90, failed=1, queue=4096)
    totals = SidecarTotals(100, 2, {"logs/*.log": 7}, {"otlp_http/auditsink.payments.logs": way})
    metrics = Metrics()
    metrics.follow_sidecars(dict, lambda: {PCI: SidecarFigures(answering=3, totals=totals)})

    def shown(name, **labels):
        of_policy = {"namespace": "payments", "policy": "pci"}
        return metrics.registry.get_sample_value(f"audit_operator_{name}", {**of_policy, **labels})

    sink = "auditsink.payments.logs"
    assert shown("sidecars_answering") == 3
    assert shown("application_log_lines_total", outcome="refused") == 2
    assert shown("application_log_lines_quarantined_total", source="logs/*.log") == 7
    assert shown("application_log_records_total", sink=sink, outcome="failed") == 1
    assert shown("sidecar_queue_bytes", sink=sink) == 4096
