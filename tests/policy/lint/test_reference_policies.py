"""Every finding on every published policy, each reviewed by hand: it is true, and it says what its id promises."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from audit_operator.api.findings import Severity
from audit_operator.policy.lint import lint_text

PUBLISHED = Path(__file__).parents[2] / "reference-policies"
REBUILT = Path(__file__).parent / "policies"

REVIEWED: dict[str, dict[str, list[int | None]]] = {
    "aks-engine.yaml": {
        "full-lists": [0],
        "url-prefix-too-wide": [3],
        "redundant-rule": [4, 5],  # the rule for all of core has the same level, and nothing between them overlaps
        "configmap-bodies": [4, 6],
        "secret-bodies": [5],
        "noise-events": [6],
        "removed-api": [6],
        "noise-health-checks": [7],
        "noise-leases": [7],
    },
    "eks-published-v1.yaml": {
        "unserved-verb": [1, 5],
        "former-user": [2, 9],
        "former-leader-election": [4],
        "event-deletion-hidden": [8],
        "noise-events-group": [8],
        "removed-api": [14, 14, 15, 15],
        "certificate-request-bodies": [15],
        "noise-components": [15],
        "noise-health-checks": [16],
        "noise-leases": [16],
    },
    "eks-published.yaml": {
        "version": [None],
        "unserved-verb": [1, 5],
        "former-user": [2, 9],
        "former-leader-election": [4],
        "event-deletion-hidden": [8],
        "noise-events-group": [8],
        "removed-api": [14, 14, 15, 15],
        "certificate-request-bodies": [15],
        "noise-components": [15],
        "noise-health-checks": [16],
        "noise-leases": [16],
    },
    "falco-k8saudit.yaml": {
        "full-lists": [0],
        "wrong-group": [0],
        "url-prefix-too-wide": [5],
        "configmap-bodies": [6, 7],
        "noise-events": [9],
        "removed-api": [9],
        "noise-health-checks": [10],
        "noise-leases": [10],
    },
    "gce-configure-helper.yaml": {
        "unserved-verb": [0, 5],  # services/status cannot be watched, namespaces/finalize cannot be got
        "former-user": [1, 2, 10],
        "former-leader-election": [4],
        "event-deletion-hidden": [9],
        "noise-events-group": [9],
        "removed-api": [14, 15],
        "certificate-request-bodies": [15],
        "noise-components": [15],
        "noise-health-checks": [16],
        "noise-leases": [16],
    },
    "k8s-docs-example.yaml": {
        "full-lists": [0],
        "url-prefix-too-wide": [4],
        "configmap-bodies": [5],
        "noise-events": [7],
        "removed-api": [7],
        "noise-health-checks": [8],
        "noise-leases": [8],
    },
    "kubespray-default.yaml": {
        "unserved-verb": [0, 5],
        "former-user": [1, 2],
        "former-leader-election": [4],
        "event-deletion-hidden": [8],
        "noise-events-group": [8],
        "removed-api": [10, 10, 11, 11],
        "certificate-request-bodies": [11],
        "noise-components": [11],
        "noise-node-status": [11],
        "noise-health-checks": [12],
        "noise-leases": [12],
    },
    "openshift-allrequestbodies.yaml": {
        "url-prefix-too-wide": [0],
        "entry-widened": [2],
        "unknown-key": [2],
        "unknown-resource": [2],  # authentication.k8s.io has no "tokenrequests"
        "certificate-request-bodies": [3],
        "configmap-bodies": [3],
        "full-lists": [3],
        "noise-components": [3, 3, 3],
        "noise-events": [3],
        "noise-leases": [3],
        "noise-node-status": [3],
    },
    "openshift-default.yaml": {
        "url-prefix-too-wide": [0],
        "deletecollection-missing": [2],  # identities and tokens deleted together lose their bodies
        "noise-leases": [3],
    },
    "openshift-multiplecr.yaml": {
        "failed-authentication-lost": [None],  # every rule but the closing None has userGroups
        "url-prefix-too-wide": [0],
        "entry-widened": [2, 5],
        "unknown-key": [2, 5],
        "unknown-resource": [2, 5],
        "certificate-request-bodies": [3, 6],
        "configmap-bodies": [3, 6],
        "full-lists": [6],
        "noise-components": [6, 6, 6],
        "noise-events": [6],
        "noise-leases": [6],
        "noise-node-status": [6],
    },
    "openshift-none.yaml": {
        "records-nothing": [None],
        "url-prefix-too-wide": [0],
        "redundant-rule": [0, 1],
    },
    "openshift-oauth.yaml": {
        "failed-authentication-lost": [None],
        "url-prefix-too-wide": [0],
        "entry-widened": [2],
        "unknown-key": [2],
        "unknown-resource": [2],
        "certificate-request-bodies": [3],
        "configmap-bodies": [3],
    },
    "openshift-writerequestbodies.yaml": {
        "url-prefix-too-wide": [0],
        "entry-widened": [2],
        "unknown-key": [2],
        "unknown-resource": [2],
        "certificate-request-bodies": [3],
        "configmap-bodies": [3],
        "noise-components": [3, 3],
        "noise-events": [3],
        "noise-leases": [3],
        "noise-node-status": [3],
    },
    "rke2-cis-default.yaml": {"records-nothing": [None]},
    "talos-default.yaml": {"noise-health-checks": [0], "noise-leases": [0]},
    "endpointslices-in-core.yaml": {
        "wrong-group": [0, 1],
        "dead-rule": [1],
        "noise-health-checks": [2],
        "noise-leases": [2],
    },
    "reads-dropped-by-misspelt-key.yaml": {
        "entry-widened": [0],
        "exec-dropped": [0],
        "secrets-dropped": [0],
        "unknown-key": [0],
        "event-deletion-hidden": [1],
        "noise-events-group": [1],
        "redundant-rule": [2],
        "wrong-group": [2],
        "secret-bodies": [2, 3],  # deletecollection falls to the last rule, and its response holds the Secrets
        "token-bodies": [3, 3],  # of ServiceAccounts and under review
        "certificate-request-bodies": [3],
        "configmap-bodies": [3],
        "full-lists": [3],
        "noise-components": [3, 3],
        "noise-events": [3],
        "noise-health-checks": [3],
        "noise-leases": [3],
        "noise-node-status": [3],
    },
}

KNOWN_DEFECTS = {
    "a misspelt key hides reads of Secrets": ("reads-dropped-by-misspelt-key.yaml", "secrets-dropped", 0),
    "a misspelt key hides exec over WebSockets": ("reads-dropped-by-misspelt-key.yaml", "exec-dropped", 0),
    "a misspelt key leaves all of core": ("reads-dropped-by-misspelt-key.yaml", "entry-widened", 0),
    "tokens of ServiceAccounts are recorded": ("reads-dropped-by-misspelt-key.yaml", "token-bodies", 3),
    "core has no deployments": ("reads-dropped-by-misspelt-key.yaml", "wrong-group", 2),
    "`resource` reduces a whole group to Metadata": ("openshift-allrequestbodies.yaml", "entry-widened", 2),
    "Falco's rule for deployments never sees one": ("falco-k8saudit.yaml", "wrong-group", 0),
    "Secrets are written to the log": ("aks-engine.yaml", "secret-bodies", 5),
    "EndpointSlices are not in core": ("endpointslices-in-core.yaml", "wrong-group", 0),
    "lists of Pods are recorded in full": ("k8s-docs-example.yaml", "full-lists", 0),
    "Events are dropped in core alone": ("gce-configure-helper.yaml", "noise-events-group", 9),
    "/livez and /readyz are recorded": ("kubespray-default.yaml", "noise-health-checks", 12),
    "system:unsecured is gone": ("gce-configure-helper.yaml", "former-user", 1),
    "kubelet is no user any more": ("eks-published-v1.yaml", "former-user", 2),
    "leaders are elected through leases": ("gce-configure-helper.yaml", "former-leader-election", 4),
    "leases are recorded": ("gce-configure-helper.yaml", "noise-leases", 16),
    "the API version is gone": ("eks-published.yaml", "version", None),
    "the CIS default records nothing": ("rke2-cis-default.yaml", "records-nothing", None),
}

FILES = {path.name: path for folder in (PUBLISHED, REBUILT) for path in sorted(folder.glob("*.yaml"))}


def test_every_policy_has_been_reviewed() -> None:
    assert FILES.keys() == REVIEWED.keys()


@pytest.mark.parametrize("file", REVIEWED)
def test_the_findings_are_those_that_were_reviewed(file: str) -> None:
    actual = defaultdict(list)
    for finding in lint_text(FILES[file].read_text(encoding="utf-8"), file=file):
        actual[finding.id].append(finding.rule)
    assert actual == REVIEWED[file]


@pytest.mark.parametrize("defect", KNOWN_DEFECTS)
def test_a_known_defect_is_found(defect: str) -> None:
    file, check, rule = KNOWN_DEFECTS[defect]
    assert rule in REVIEWED[file][check]


def test_findings_stand_on_a_line_of_their_rule() -> None:
    for file, path in FILES.items():
        lines = path.read_text(encoding="utf-8").splitlines()
        starts = [number for number, line in enumerate(lines, 1) if line.strip().startswith("- level:")]
        for finding in lint_text(path.read_text(encoding="utf-8"), file=file):
            if finding.rule is not None:
                following = [*starts, len(lines) + 1][finding.rule + 1]
                assert starts[finding.rule] <= finding.location.line < following, (file, finding)


def test_a_policy_that_records_everything_as_metadata_has_no_warning() -> None:
    findings = lint_text(FILES["talos-default.yaml"].read_text(encoding="utf-8"))
    assert {finding.severity for finding in findings} == {Severity.INFO}
