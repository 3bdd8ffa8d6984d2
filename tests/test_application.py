"""Which shippers the operator tells what to do, and what it asks the API server itself."""

from __future__ import annotations

import aiohttp
import pytest

from audit_operator.api.findings import Finding, ObjectRef
from audit_operator.application import _ShippersMaker, _status_of
from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.resources import AUDIT_CONTROL_PLANE
from audit_operator.cluster.rest import ApiError, RestClient
from audit_operator.controlplane.shipper.nodes import NodeShippers
from audit_operator.settings import Settings, ShipperMode
from tests.cluster.fake_api_server import fake_api_server
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


async def test_the_status_of_a_control_plane_is_what_the_api_server_has():
    async with fake_api_server() as api, aiohttp.ClientSession(api.url) as session:
        api.put(AUDIT_CONTROL_PLANE, "main", spec={}, status={"policies": 7})
        api.put(AUDIT_CONTROL_PLANE, "new", spec={})
        client = RestClient(session, backoff=Backoff(base=0.0), attempts=1)
        assert await _status_of(client, ObjectRef("AuditControlPlane", "main")) == {"policies": 7}
        assert await _status_of(client, ObjectRef("AuditControlPlane", "new")) == {}
        with pytest.raises(ApiError):
            await _status_of(client, ObjectRef("AuditControlPlane", "gone"))
