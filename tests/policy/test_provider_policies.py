"""Policies of providers: as published, and readable by an API server."""

from __future__ import annotations

from pathlib import Path

from audit_operator.policy.loading import load_policy
from audit_operator.policy.provider_policies import eks_policy

PUBLISHED = Path(__file__).parents[1] / "reference-policies" / "eks-published.yaml"


def test_the_policy_of_eks_has_the_published_rules_in_a_version_that_is_read():
    ours = load_policy(eks_policy())
    assert ours.findings == ()
    published = PUBLISHED.read_text()
    assert load_policy(published).refused == "version"
    assert load_policy(published.replace("audit.k8s.io/v1beta1", "audit.k8s.io/v1")).policy == ours.policy


def test_its_origin_and_licence_stand_beside_it():
    head = eks_policy().partition("apiVersion")[0]
    assert "docs.aws.amazon.com" in head
    assert "SPDX-License-Identifier: Apache-2.0" in head
