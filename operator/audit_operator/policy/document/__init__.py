"""Policy texts, read the way the API server reads them, with line numbers kept.

The API server turns YAML into JSON with go-yaml (YAML 1.1) and only then decodes it by type. Whoever reads the same
text with another parser sees another policy: `on` becomes a string, a merge key loses, a later document wins. This
package answers what the text *is*; `audit_operator.policy.loading` answers what it means as a policy.
"""

from audit_operator.policy.document.document import (
    MAX_BYTES,
    MAX_PROBLEMS,
    Document,
    Problem,
    ProblemKind,
    parse_document,
)
from audit_operator.policy.document.tree import (
    MAX_DEPTH,
    Array,
    JsonValue,
    Member,
    Object,
    Path,
    Scalar,
    Tree,
    format_path,
    shorten,
)

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_PROBLEMS",
    "Array",
    "Document",
    "JsonValue",
    "Member",
    "Object",
    "Path",
    "Problem",
    "ProblemKind",
    "Scalar",
    "Tree",
    "format_path",
    "parse_document",
    "shorten",
]
