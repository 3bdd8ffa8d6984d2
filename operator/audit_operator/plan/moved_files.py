"""The same configuration for a collector that lies elsewhere: to try one where it is not meant to run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.collector.configuration import telemetry
from audit_operator.shipping.collector.counting import EXPORTER as COUNTS
from audit_operator.shipping.collector.yaml_text import parsed, yaml_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.plan.collector_files import CollectorFiles, Places
    from audit_operator.shipping.collector.configuration import Endpoints


def moved(files: CollectorFiles, old: Places, new: Places) -> CollectorFiles:
    """Files that were rendered for some places, with their own paths and endpoints those of others.

    Where the API server's log is, and what stores are told, stays.
    """
    folders = {old.config: new.config, old.state: new.state}
    configuration = {
        part: value if part == "exporters" else _within(value, folders) for part, value in parsed(files.config).items()
    }
    return replace(files, config=yaml_text(_listening(configuration, new.endpoints)))


def _within(value: Any, folders: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _within(each, folders) for name, each in value.items()}
    if isinstance(value, list):
        return [_within(each, folders) for each in value]
    if isinstance(value, str):
        for old, new in folders.items():
            if value.startswith(f"{old}/"):
                return new + value.removeprefix(old)
    return value


def _listening(configuration: dict[str, Any], endpoints: Endpoints) -> dict[str, Any]:
    service, exporters = configuration["service"], configuration["exporters"]
    counts = {COUNTS: {**exporters[COUNTS], "endpoint": endpoints.detections}} if COUNTS in exporters else {}
    return {
        **configuration,
        "extensions": {**configuration["extensions"], "health_check": {"endpoint": endpoints.health}},
        "exporters": {**exporters, **counts},
        "service": {**service, "telemetry": {**service["telemetry"], **telemetry(endpoints)}},
    }
