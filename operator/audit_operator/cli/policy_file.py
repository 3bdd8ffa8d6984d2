"""An audit policy in a file, read as the API server reads it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from audit_operator.api.findings import Location
from audit_operator.cli.inputs import read_file
from audit_operator.cli.offline import print_findings
from audit_operator.cli.usage import UsageError
from audit_operator.policy.loading import load_policy

if TYPE_CHECKING:
    from audit_operator.policy.gates import Version
    from audit_operator.policy.model import Policy


def read_policy(path: str, version: Version) -> Policy:
    """The policy in a file; what the API server would warn of goes to standard error.

    Raises:
        UsageError: the file cannot be read, or the API server would refuse it.
    """
    result = load_policy(read_file(path), kubernetes=version)
    print_findings(replace(each, location=Location(path, each.location.line)) for each in result.findings)
    if result.policy is None:
        message = f"{path} is no policy that an API server {version} would load"
        raise UsageError(message)
    return result.policy
