"""Helm as tests use it: both versions that people have, what the chart renders, by object."""

from __future__ import annotations

import pickle
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.e2e.node.binaries import HELM, NodeBinary, get

if TYPE_CHECKING:
    from collections.abc import Iterable

CHART = Path(__file__).parents[2] / "charts" / "audit-operator"
RELEASE = NAMESPACE = "audit-operator"
HELM_3 = NodeBinary("helm", "helm-3", "helm.sh/helm/v3/cmd/helm")
VERSIONS = {"Helm 4": HELM, "Helm 3": HELM_3}

# A Helm that was not built by its makers takes an old Kubernetes for granted where it asks none.
_KUBERNETES = "1.37.0"
MONITORING = "monitoring.coreos.com/v1"
EVERYTHING = (
    "nodeAgent.enabled=true",
    "nodeAgent.onUninstall=Restore",
    "nodeAgent.exposeMetrics=true",
    "shipper.enabled=true",
    "sidecar.enabled=true",
    "sidecar.mechanism=AdmissionPolicy",
    "sidecar.restartWorkloads=true",
    "probes.bodies.enabled=true",
    "probes.enabled=true",
    "reports.enabled=true",
    "detections.prometheusRules.enabled=true",
    "detections.prometheusRules.labels.release=monitoring",
    "reader.enabled=true",
    "reader.sink.type=VictoriaLogs",
    "reader.sink.victoriaLogs.url=http://victoria-logs.audit-system:9428",
    "controlPlane.create=true",
    "metrics.serviceMonitor.enabled=true",
    "metrics.podMonitor.enabled=true",
    "metrics.rules.enabled=true",
    "metrics.dashboard.enabled=true",
)
"""Values that switch on whatever can be switched on."""


@dataclass(frozen=True)
class Helm:
    """One version of Helm; it sees no settings and no cache of the user's."""

    binary: Path
    home: Path

    def run(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run it. With `check`, a failure fails the test and shows what Helm said."""
        done = subprocess.run(  # noqa: S603 - Helm
            [self.binary, *arguments],
            env={"HOME": str(self.home), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"helm {' '.join(map(str, arguments))}: {done.stderr}"
        return done

    def lint(self, *values: str) -> str:
        """Lint the chart with these values; a warning fails the test."""
        options = ["--kube-version", _KUBERNETES, *(option for value in values for option in ("--set", value))]
        return self.run("lint", "--strict", CHART, *options).stdout

    def template(self, *values: str, api_versions: Iterable[str] = (), check: bool = True) -> str:
        """What the chart renders with these values (``name=value``); with `check` False, what Helm complains of."""
        options = ["--kube-version", _KUBERNETES, *(option for value in values for option in ("--set", value))]
        options += [option for each in api_versions for option in ("--api-versions", each)]
        done = self.run("template", RELEASE, CHART, "--namespace", NAMESPACE, *options, check=check)
        return done.stdout if done.returncode == 0 else done.stderr

    def objects(self, *values: str, api_versions: Iterable[str] = ()) -> list[dict[str, Any]]:
        """The objects that the chart renders with these values."""
        made: list[dict[str, Any]] = pickle.loads(_rendered(self, values, tuple(api_versions)))  # noqa: S301 - ours
        return made


@cache
def _rendered(helm: Helm, values: tuple[str, ...], api_versions: tuple[str, ...]) -> bytes:
    """Packed, so that whoever changes an object changes their own: many tests look at the same ones."""
    return pickle.dumps(documents(helm.template(*values, api_versions=api_versions)))


def documents(text: str) -> list[dict[str, Any]]:
    """The objects in a YAML text. libyaml reads it: the schemas are long."""
    return [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each is not None]


def provide(version: NodeBinary, home: Path) -> Helm:
    """A version of Helm, built first if need be."""
    return Helm(get(version), home)
