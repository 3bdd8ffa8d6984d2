"""The linter: what in an audit policy is not what its author thinks it is.

The API server refuses very little, and what it accepts it does not explain. Each check has a stable id, under which
`docs/lint.md` says what it looks for, why it matters and how to mend it; the list of all checks is `CHECKS`.
`lint_text` takes what a user has in a file, `lint_policy` a policy that is loaded already.
"""

from audit_operator.policy.lint.check import Check, Role
from audit_operator.policy.lint.inputs import lint_text
from audit_operator.policy.lint.linter import CHECKS, lint_policy
from audit_operator.policy.lint.output import as_json, as_sarif, as_text

__all__ = ["CHECKS", "Check", "Role", "as_json", "as_sarif", "as_text", "lint_policy", "lint_text"]
