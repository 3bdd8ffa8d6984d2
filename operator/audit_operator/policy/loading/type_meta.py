"""Which version and kind a text claims to be, looked up before it is decoded by type.

Here the API server uses Go's own JSON package, which takes `APIVersion` and `KIND` for apiVersion and kind, although
the decoder afterwards calls them unknown.
Source: `Interpret` in `pkg/runtime/serializer/json/meta.go` of kubernetes/apimachinery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.policy.document import Object, Scalar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.policy.document import Document, Member

GROUP = "audit.k8s.io"
API_VERSION = f"{GROUP}/v1"
KIND = "Policy"


class WrongTypeError(ValueError):
    """apiVersion or kind is no string, or the document no mapping. `line` is where."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class TypeMeta:
    """What a text says it is; empty for what it does not say."""

    api_version: str
    kind: str

    @property
    def is_policy(self) -> bool:
        """Whether the API server decodes it as a policy; a missing kind is taken for one."""
        return self.api_version == API_VERSION and self.kind in (KIND, "")

    @property
    def is_unversioned(self) -> bool:
        """Whether the API server decodes it into its internal type, only to refuse it afterwards."""
        return self.api_version in ("", "/", f"{GROUP}/") and self.kind in (KIND, "")


def read_type_meta(document: Document) -> TypeMeta:
    """Version and kind as the API server finds them.

    Raises:
        WrongTypeError: it cannot look for them.
    """
    found = {"apiversion": "", "kind": ""}
    for member in _members(document):
        field = member.key.replace("\u017f", "s").lower()  # Go folds the long s too
        if field not in found:
            continue
        match member.value:
            case Scalar(value=str(text)):
                found[field] = text
            case Scalar(value=None):
                pass
            case other:
                raise WrongTypeError(f"{member.key} must be a string", other.line)
    return TypeMeta(found["apiversion"], found["kind"])


def _members(document: Document) -> Iterable[Member]:
    match document.tree:
        case Object(members) if document.is_json:
            return members
        case Object(members):  # on the way from YAML to JSON keys are sorted, and the last of two spellings counts
            return sorted(members, key=lambda member: member.key.encode("utf-8", "surrogatepass"))
        case None | Scalar(value=None):
            return ()
        case other:
            raise WrongTypeError("the document is no mapping", other.line)
