"""A configuration as it is tried: with files in place of stores, and lines of ours in place of the API server's.

All else stays, since what is wrong with it is to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.collector.counting import EXPORTER as COUNTS
from audit_operator.shipping.collector.demands import without_patterns
from audit_operator.shipping.collector.routing import NOWHERE
from audit_operator.shipping.collector.yaml_text import parsed, yaml_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

FILES = "dated_files"
"""Type of the exporter that takes the place of all others. It has their queue, and writes before it says so."""
_KEPT = (NOWHERE, COUNTS)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A configuration to be tried, and in which folder each exporter's records will lie, by the exporter's id."""

    configuration: dict[str, Any]
    folders: Mapping[str, str]


def rehearsed(configuration: Mapping[str, Any], exporters: Collection[str], folder: str) -> Rehearsed:
    """The configuration for a trial in a folder; of others than these exporters nothing is to be seen."""
    replaced = {
        each: f"{FILES}/{each.replace('/', '.')}" if each in exporters else NOWHERE
        for each in configuration["exporters"]
        if each not in _KEPT
    }
    folders = {each: f"{folder}/out/{number}" for number, each in enumerate(replaced) if each in exporters}
    made = {
        replaced[each]: to_files(settings, folders[each])
        for each, settings in configuration["exporters"].items()
        if each in folders
    }
    kept = {each: settings for each, settings in configuration["exporters"].items() if each in _KEPT}
    service = configuration["service"]
    pipelines = {
        name: {**each, "exporters": list(dict.fromkeys(replaced.get(one, one) for one in each["exporters"]))}
        for name, each in service["pipelines"].items()
    }
    receivers = {name: _from_folder(name, each, folder) for name, each in configuration["receivers"].items()}
    return Rehearsed(
        {
            **configuration,
            "extensions": {name: unsynced(each) for name, each in configuration["extensions"].items()},
            "receivers": receivers,
            "exporters": {**kept, **made},
            "service": {**service, "pipelines": pipelines},
        },
        folders,
    )


def rehearsed_table(table: str) -> str:
    """The decision table for a trial: without tenants' patterns, which must keep nobody's configuration back."""
    return yaml_text(without_patterns(parsed(table)))


def unsynced(extension: Mapping[str, Any]) -> dict[str, Any]:
    """An extension's settings: what is thrown away need not outlive a power cut, and a slow disk is no loss."""
    return {**extension, **({"fsync": False} if "fsync" in extension else {})}


def to_files(settings: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The settings of an exporter for files with the same queue, which waits for nothing to come together."""
    queue = settings.get("sending_queue", {})
    batch = {**queue.get("batch", {}), "flush_timeout": "50ms", "min_size": 0}
    return {
        "directory": folder,
        "sending_queue": {**queue, "batch": batch},
        "retry_on_failure": dict(settings.get("retry_on_failure", {})),
    }


def _from_folder(name: str, settings: Mapping[str, Any], folder: str) -> dict[str, Any]:
    if name.partition("/")[0] != "file_log":
        return dict(settings)
    paths = {each: [f"{folder}{path}" for path in settings[each]] for each in ("include", "exclude")}
    return {**settings, **paths}
