"""Reading the conformance data, and policies in the form in which it holds them."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit_operator.policy.loading import load_policy

if TYPE_CHECKING:
    from audit_operator.policy.model import Policy, Rule

FOLDER = Path(__file__).parents[1] / "conformance"


def read_lines(name: str) -> list[dict[str, Any]]:
    """The lines of a file but the first, which describes it."""
    with gzip.open(FOLDER / name, "rt", encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines][1:]


def read_json(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def text_of(case: dict[str, Any], key: str = "policy") -> str | bytes:
    return base64.b64decode(case[f"{key}B64"]) if f"{key}B64" in case else case[key]


def policy_of(written: dict[str, Any]) -> Policy:
    """A policy from its v1 form, through the loader."""
    result = load_policy(json.dumps(written))
    assert result.policy is not None, result.findings
    return result.policy


def normalize(policy: Policy) -> dict[str, Any]:
    """The v1 form of a policy without empty fields; stages are a sorted set."""
    return _filled(
        rules=[_rule(rule) for rule in policy.rules],
        omitStages=sorted(policy.omit_stages),
        omitManagedFields=policy.omit_managed_fields,
    )


def comparable(normalized: dict[str, Any]) -> dict[str, Any]:
    """The data's normalized form with stages as a sorted set, as `normalize` gives it."""
    rules = [_with_stage_set(rule) for rule in normalized["rules"]]
    return {**_with_stage_set(normalized), "rules": rules}


def _with_stage_set(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "omitStages": sorted(set(fields["omitStages"]))} if "omitStages" in fields else fields


def _rule(rule: Rule) -> dict[str, Any]:
    fields = _filled(
        level=str(rule.level),
        users=list(rule.users),
        userGroups=list(rule.user_groups),
        verbs=list(rule.verbs),
        resources=[
            _filled(group=each.group, resources=list(each.resources), resourceNames=list(each.resource_names))
            for each in rule.resources
        ],
        namespaces=list(rule.namespaces),
        nonResourceURLs=list(rule.non_resource_urls),
        omitStages=sorted(rule.omit_stages),
    )
    return fields if rule.omit_managed_fields is None else {**fields, "omitManagedFields": rule.omit_managed_fields}


def _filled(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
