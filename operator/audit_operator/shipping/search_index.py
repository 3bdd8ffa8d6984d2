"""An event as a document of OpenSearch or Elasticsearch, and the index that it goes to.

The collector's exporter `search_bulk` (tools/otelcol/exporters/searchbulk) writes documents of this form, and the
operator reads them and writes one to try a sink: both sides must make the same of an event.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

from audit_operator.shipping.collector.attributes import LONGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

TIME, TEXT = "@timestamp", "event"
"""Fields beside those named after a record's attributes: when it was (RFC 3339), and the event as JSON text."""

NEW_INDEX = json.dumps(
    {
        "mappings": {
            # Nothing is guessed from the first document: a namespace that reads like a date would make a date of the
            # field, and the store would refuse every other namespace from then on.
            "date_detection": False,
            "numeric_detection": False,
            "properties": {TIME: {"type": "date"}, TEXT: {"type": "text"}},
            "dynamic_templates": [
                {
                    "attributes": {
                        "match_mapping_type": "string",
                        "mapping": {"type": "keyword", "ignore_above": LONGEST},
                    }
                }
            ],
        }
    },
    separators=(",", ":"),
)
"""What an index is made with, where there is none of that name and none is made by a template of the store's."""


def document_id(attributes: Mapping[str, str], text: str) -> str:
    """The same for the same event, so that one that is written again is not kept twice.

    The text counts, too: clients choose audit IDs, and one that is used again must not hide an event.
    """
    parts = (*(attributes.get(name, "") for name in ("cluster", "auditID", "stage")), text)
    digest = hashlib.sha256("\0".join(parts).encode(errors="replace")).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
