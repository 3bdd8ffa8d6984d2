"""Rule lists that ship with the operator: each a YAML file, and as such a policy that an API server takes as it is.

They promise more than they look like: every critical action of the shipped catalogue at the level it needs, and nothing
above the level that is safe (`tests/policy/test_presets.py`). What they do not record is limited to requests that
nobody can hide behind: a rule with level None names groups that authentication alone hands out, so that a request whose
authentication failed never matches it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

import yaml
from pydantic import Field

from audit_operator.api.model import ApiModel
from audit_operator.api.rules import PolicyRule, PresetName
from audit_operator.policy.model import GroupResources, Rule


class _File(ApiModel):
    """A preset file: an `audit.k8s.io/v1` Policy with nothing but rules."""

    api_version: Literal["audit.k8s.io/v1"]
    kind: Literal["Policy"]
    rules: Annotated[tuple[PolicyRule, ...], Field(min_length=1)]


@cache
def load_preset(name: PresetName) -> tuple[Rule, ...]:
    """The rules of a preset, in order.

    For an AuditPolicy, rules with namespaces or nonResourceURLs are to be left out: they say nothing about requests in
    its namespace.
    """
    text = files(__name__).joinpath(file_name(name)).read_text(encoding="utf-8")
    parsed = _File.model_validate(yaml.safe_load(text), strict=False, by_alias=True, by_name=False)
    return tuple(map(_rule, parsed.rules))


def file_name(name: PresetName) -> str:
    """The file that holds a preset: ``WriteBodies`` is in ``write-bodies.yaml``."""
    dashed = "".join(f"-{char.lower()}" if char.isupper() else char for char in name)
    return f"{dashed.lstrip('-')}.yaml"


def _rule(rule: PolicyRule) -> Rule:
    return Rule(
        level=rule.level,
        users=rule.users,
        user_groups=rule.user_groups,
        verbs=rule.verbs,
        resources=tuple(GroupResources(each.group, each.resources, each.resource_names) for each in rule.resources),
        namespaces=rule.namespaces,
        non_resource_urls=rule.non_resource_urls,
        omit_stages=frozenset(rule.omit_stages),
        omit_managed_fields=rule.omit_managed_fields,
    )
