"""What all sidecars have in common, as the chart says it once: to the API server in CEL, to the operator as JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from collections.abc import Mapping

REVISION_LENGTH = 16


class TemplateError(ValueError):
    """The text is no template; the message says where."""


class _Resources(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class _Template(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    image: str
    image_pull_policy: str
    resources: _Resources
    excluded_namespaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SidecarTemplate:
    """A sidecar without what a policy and a pod add to it.

    Attributes:
        image: image of the operator, which the collector is in.
        pull_policy: Always, IfNotPresent or Never.
        requests: quantities by resource.
        limits: quantities by resource.
        excluded_namespaces: pods in these never get a sidecar.
        revision: another one where the sidecar itself would be another; an injected pod carries it.
    """

    image: str
    pull_policy: str
    requests: Mapping[str, str]
    limits: Mapping[str, str]
    excluded_namespaces: frozenset[str]
    revision: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what the chart writes. Raises TemplateError."""
        try:
            read = _Template.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            raise TemplateError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        return cls(
            image=read.image,
            pull_policy=read.image_pull_policy,
            requests=read.resources.requests,
            limits=read.resources.limits,
            excluded_namespaces=frozenset(read.excluded_namespaces),
            revision=_revision(text),
        )


def _revision(text: str) -> str:
    """Of what the container is made from, as the chart computes it; who gets none changes no container."""
    made_from = {key: value for key, value in json.loads(text).items() if key != "excludedNamespaces"}
    canonical = json.dumps(made_from, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:REVISION_LENGTH]
