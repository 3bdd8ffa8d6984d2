"""From text to policy, as the API server does it, with everything that a user should know about the text.

Two questions are kept apart: what the API server does (`LoadResult.policy`, `lenient`, `refused`) and what to tell the
user (`LoadResult.findings`). A misspelt key is no error to the API server, it is dropped; the user must hear of it.
"""

from audit_operator.policy.loading.load import ErrorClass, LoadResult, load_document, load_policy

__all__ = ["ErrorClass", "LoadResult", "load_document", "load_policy"]
