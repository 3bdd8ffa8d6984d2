"""Values that are not meant: refused before anything is rendered, by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.helm import CHART

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chart.helm import Helm

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
# Maps whose keys are the user's, or which are Kubernetes' own and validated there.
FREE = {
    "affinity",
    "controlPlane.spec",
    "gateway.from[]",
    "global",
    "reader.egress[]",
    "reader.from[]",
    "reader.sink",
    "sealer.egress[]",
    "sealer.seals",
    "sealer.sink",
    "networkPolicy.metricsFrom[]",
    "networkPolicy.shipperEgress[]",
    "networkPolicy.sinkEgress[]",
    "networkPolicy.webhookFrom[]",
    "resources.claims[]",
    "topologySpreadConstraints[]",
    "verifier.egress[]",
}
FREE_DEFINITIONS = {"labels", "quantities"}


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("replica=3", "additional properties 'replica' not allowed"),
        ("nodeAgent.enbled=true", "at '/nodeAgent': additional properties 'enbled' not allowed"),
        ("settings.loglevel=INFO", "at '/settings': additional properties 'loglevel' not allowed"),
        ("replicas=two", "at '/replicas': got string, want integer"),
        ("nodeAgent.onUninstall=Delete", "at '/nodeAgent/onUninstall': value must be one of 'Keep', 'Restore'"),
        ("image.digest=abc", "at '/image/digest': 'abc' does not match pattern"),
        ("nodeAgent.paths.logs=var/log", "at '/nodeAgent/paths/logs': 'var/log' does not match pattern"),
        ("nodeAgent.enabled=true,metrics.podMonitor.enabled=true", "at '/nodeAgent/exposeMetrics': value must be true"),
        ("shipper.enable=true", "at '/shipper': additional properties 'enable' not allowed"),
        (
            "shipper.paths.logs=/var/log/../../etc/$x",
            "at '/shipper/paths/logs': '/var/log/../../etc/$x' does not match",
        ),
        ("shipper.secretNamespaces={pay*}", "at '/shipper/secretNamespaces/0': 'pay*' does not match pattern"),
        ("shipper.secretNamespaces=*", "at '/shipper/secretNamespaces': got string, want array"),
        ("gateway.service.type=ExternalName", "at '/gateway/service/type': value must be one of 'ClusterIP'"),
        ("shipper.controlPlane=Main", "at '/shipper/controlPlane': 'Main' does not match pattern"),
    ],
)
def test_a_wrong_value_is_named(either_helm: Helm, value: str, complaint: str) -> None:
    assert complaint in either_helm.template(value, check=False)


def test_the_schema_is_closed_but_for_free_maps() -> None:
    described = list(_objects("", SCHEMA))
    assert len(described) > 15
    open_ones = {path for path, schema in described if schema.get("additionalProperties") is not False}
    assert open_ones == FREE
    for name in SCHEMA["definitions"].keys() - FREE_DEFINITIONS:
        definition = SCHEMA["definitions"][name]
        if definition["type"] == "object":
            assert definition["additionalProperties"] is False


def _objects(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    reference = schema.get("$ref", "").removeprefix("#/definitions/")
    if reference in FREE_DEFINITIONS:
        return
    schema = SCHEMA["definitions"][reference] if reference else schema
    if schema.get("type") == "array":
        yield from _objects(f"{path}[]", schema["items"])
    if schema.get("type") == "object" and ".resources." not in path:
        yield path, schema
        for name, part in schema.get("properties", {}).items():
            yield from _objects(f"{path}.{name}".lstrip("."), part)
