"""Golden files of what the chart renders. ``python -m tests.chart.snapshots`` writes them anew; look at the diff."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chart.helm import EVERYTHING, MONITORING, VERSIONS, provide

if TYPE_CHECKING:
    from tests.chart.helm import Helm

FOLDER = Path(__file__).parent / "golden"
VALUES: dict[str, tuple[str, ...]] = {
    "default": (),
    "node-agent": ("nodeAgent.enabled=true",),
    "shipper": ("shipper.enabled=true",),
    "gateway": ("gateway.enabled=true",),
    "reader": (
        "reader.enabled=true",
        "reader.sink.type=VictoriaLogs",
        "reader.sink.victoriaLogs.url=http://victoria-logs.audit-system:9428",
    ),
    "sealer": (
        "sealer.enabled=true",
        "sealer.sink.type=VictoriaLogs",
        "sealer.sink.victoriaLogs.url=http://victoria-logs.audit-system:9428",
        "sealer.seals.type=S3",
        "sealer.seals.s3.bucket=audit-seals",
        "verifier.enabled=true",
    ),
    "sidecar-by-webhook": ("sidecar.enabled=true", "sidecar.mechanism=Webhook"),
    "sidecar": ("sidecar.enabled=true", "sidecar.mechanism=AdmissionPolicy"),
    "config-map-driver": (
        "controlPlane.create=true",
        "controlPlane.spec.driver=ConfigMap",
        "controlPlane.spec.configMap.namespace=kube-system",
        "controlPlane.spec.configMap.name=audit-policy",
    ),
    "everything": EVERYTHING,
}


def render(helm: Helm, name: str) -> str:
    """What is compared; the CustomResourceDefinitions are generated and have checks of their own."""
    return helm.template("crds.enabled=false", *VALUES[name], api_versions=[MONITORING])


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        for name in VALUES:
            (FOLDER / f"{name}.yaml").write_text(render(provide(VERSIONS["Helm 4"], Path(home)), name))


if __name__ == "__main__":
    main()
