"""Audit policies that providers of managed control planes have published, each with its origin and licence in the file.

Only EKS has published the rules that its API servers run. GKE and AKS describe theirs, and a description is no policy:
whoever knows better puts the policy into a ConfigMap (provider Custom).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def eks_policy() -> str:
    """The policy of Amazon EKS as published, as an `audit.k8s.io/v1` document."""
    return files(__name__).joinpath("eks.yaml").read_text(encoding="utf-8")
