"""Which shippers the operator tells what to do."""

from __future__ import annotations

from audit_operator.api.findings import Finding
from audit_operator.application import _ShippersMaker
from audit_operator.controlplane.shipper.nodes import NodeShippers
from audit_operator.settings import Settings, ShipperMode
from tests.plan.objects import control_plane


class Dirty:
    def mark(self):
        pass


def make(name, **settings):
    maker = _ShippersMaker(Settings(shippers=ShipperMode.NODES, **settings), None, Dirty())
    return maker(control_plane(name, driver="Observe", observe={"provider": "EKS"}))


def test_shippers_are_told_of_the_control_planes_that_they_serve():
    assert isinstance(make("cluster", shipper_control_planes="cluster, edge"), NodeShippers)
    assert isinstance(make("edge", shipper_control_planes="cluster, edge"), NodeShippers)
    assert isinstance(make("other"), NodeShippers)


def test_another_control_plane_is_told_that_it_has_none_and_what_to_do():
    refusal = make("other", shipper_control_planes="cluster")
    assert isinstance(refusal, Finding)
    assert "serve cluster" in refusal.message
    assert "shipper.controlPlane" in refusal.mend
