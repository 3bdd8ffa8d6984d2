"""The JSON Schema of a report, for programs: `python -m audit_operator.report.schema > docs/report.schema.json`.

It is that of what is written. Empty values are left out there, so that nothing is required but what is always written.
Reasons of conditions are not listed: each release has more of them, and no reader should stumble over one.
"""

from __future__ import annotations

import json
import sys

from audit_operator.api.conditions import Reason
from audit_operator.report.model import Report


def report_schema() -> str:
    """The schema as JSON text."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Report.model_json_schema(by_alias=True)}
    schema["$defs"][Reason.__name__] = {"description": "See docs/conditions.md.", "type": "string"}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(report_schema())
