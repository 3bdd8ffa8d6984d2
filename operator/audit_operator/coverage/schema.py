"""The JSON Schema of a catalogue, for editors: `python -m audit_operator.coverage.schema > docs/catalogue.schema.json`.

What a schema cannot say (levels in order, verbs that requests have) `load_catalogue` checks.
"""

from __future__ import annotations

import json
import sys

from audit_operator.coverage.catalogue import Catalogue


def catalogue_schema() -> str:
    """The schema as JSON text."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Catalogue.model_json_schema(by_alias=True)}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(catalogue_schema())
