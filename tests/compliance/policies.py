"""Policies, verdicts on them, and evidence, for tests of verdicts."""

from __future__ import annotations

from functools import cache

from audit_operator.api.rules import PresetName
from audit_operator.compliance.controls import EvidenceKind
from audit_operator.compliance.facts import Facts, Observation, Standing
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.coverage.verdicts import assess
from audit_operator.policy.loading.load import load_policy
from audit_operator.policy.model import Policy
from audit_operator.policy.presets import load_preset

SEEN = "2026-11-28T12:00:00Z"


@cache
def coverage_of(rules, namespace=None):
    """Verdicts on a policy of these rules, in YAML; or on the preset of that name."""
    if rules in set(PresetName):
        policy = Policy(load_preset(PresetName(rules)))
    else:
        policy = load_policy(f"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{rules}\n").policy
    return assess(policy, builtin_catalogue(), namespace=namespace)


def all_observed(standing=Standing.HOLDS):
    """Every kind of evidence, seen."""
    return {each: (Observation(standing, f"{each} {standing}", each.value, SEEN),) for each in EvidenceKind}


def facts(rules, namespace="", **known):
    """What is known where everything was observed, but for what is said otherwise."""
    known = {
        "coverage": coverage_of(rules, namespace or None),
        "observed": all_observed(),
        "asked": (8784, 2208),
    } | known
    return Facts(namespace, **known)
