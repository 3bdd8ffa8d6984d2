"""A new user's hour: docs/getting-started.md, followed word by word, on a cluster that has nothing of ours.

Runs last, and leaves what it has made: the node goes with it.
"""

from __future__ import annotations

import pytest

from audit_operator import __version__
from audit_operator.controlplane.assets import VICTORIA_LOGS_VERSION, Asset, Tool, provide_one
from tests.docs.blocks import blocks
from tests.e2e import name_server
from tests.e2e.node.images import image_archive
from tests.e2e.product import FOLDER, IMAGE
from tests.e2e.reader_of_a_page import ReaderOfAPage
from tests.e2e.readme import ROOT

PAGE = ROOT / "docs" / "getting-started.md"
STORE = f"victoriametrics/victoria-logs:{VICTORIA_LOGS_VERSION}"
OPERATOR = f"localhost/audit-operator:{__version__}"
ON_THE_NODE = (FOLDER, "/var/lib/audit-operator-shipper", "/var/log/kubernetes/audit")


@pytest.fixture
def newcomer(checkout, cluster, tmp_path, report):
    """Somebody in an empty folder, with the source, and a cluster in which no test before has left anything of ours."""
    left = checkout.shell("kubectl get crds -o name | grep audit-operator.dev || true").split()
    if left:
        checkout.kubectl("delete", *left, "--timeout=120s")
    checkout.kubectl("delete", "namespace", "payments", "audit-store", "--ignore-not-found", "--timeout=120s")
    checkout.on_node("rm", "-rf", *ON_THE_NODE)
    archive = tmp_path / "store.tar"
    # With the registry that is meant where none is named.
    image_archive(f"docker.io/{STORE}", provide_one(Asset(Tool.VICTORIA_LOGS, VICTORIA_LOGS_VERSION)), archive)
    cluster.load_image(archive)
    folder = tmp_path / "first-hour"
    folder.mkdir()
    (folder / "audit-operator").symlink_to(ROOT)
    reader = ReaderOfAPage(folder, checkout.environment(), report)
    yield reader
    reader.close()


def give_names(checkout):
    """Most clusters have names; the node of the tests has none."""
    if "kube-dns" in checkout.kubectl("-n", name_server.NAMESPACE, "get", "services"):
        return
    address = checkout.get("-n", "audit-store", "service", "victoria-logs")["spec"]["clusterIP"]
    checkout.apply(*name_server.objects(OPERATOR, {"victoria-logs.audit-store": address}))
    checkout.kubectl(
        "-n", name_server.NAMESPACE, "rollout", "status", f"deployment/{name_server.NAME}", "--timeout=80s"
    )


def test_the_page_leads_from_nothing_to_a_proved_compliant_namespace(newcomer, checkout, cluster):
    def look():
        policy = checkout.get("-n", "payments", "auditpolicy", "pci")["status"]
        assert policy["coverage"]["verified"] == policy["coverage"]["total"]
        assert policy["compliance"][0]["failed"] == 0
        assert "never-recorded" not in (newcomer.folder / "payments.ndjson").read_text()
        assert "PCI-DSS-4" in (newcomer.folder / "payments.html").read_text()

    meanwhile = {
        "make -C audit-operator image": lambda: cluster.load_image(IMAGE),
        "kubectl apply -f audit-store.yaml": lambda: give_names(checkout),
        "audit-operator detections test": look,
    }
    done = []
    for block in blocks(PAGE):
        if not block.reason:
            newcomer.follow(block)
            done += [(each, act()) for each, act in meanwhile.items() if block.kind == "sh" and each in block.text]
    assert [each for each, _ in done] == list(meanwhile)
