"""The order in which a gateway begins."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from audit_operator.controlplane.shipper.collector import Collector
from audit_operator.gateway_application import Gateway
from audit_operator.settings import Settings, SettingsError


async def test_the_collectors_ports_are_chosen_before_anybody_can_post(tmp_path):
    collector = Collector(tmp_path / "state")
    shipper = SimpleNamespace(collector=collector, registry=CollectorRegistry())
    none = dict.fromkeys(("gateway_certificate", "gateway_key", "gateway_client_ca"), tmp_path / "none")
    settings = Settings(**none, gateway_host="127.0.0.1", gateway_port=0)
    with pytest.raises(SettingsError, match="certificates or port"):
        await Gateway(settings, shipper, None).run(asyncio.Event())
    chosen = json.loads((collector.folder / "ports.json").read_text())
    assert collector.webhook == f"127.0.0.1:{chosen[2]}"
