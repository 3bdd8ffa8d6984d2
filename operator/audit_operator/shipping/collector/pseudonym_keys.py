"""Which key a namespace's pseudonyms are made with: one look-up for each record, however many namespaces there are.

The keys stand in a file of their own, and not in the decision table, which is no secret. The collector reads it anew
every few seconds, so that a new key needs no new start. What is not in it has no key, and gets the marker: a namespace
that was made a moment ago, or one whose key was destroyed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.shipping.collector.deciding import RELOAD_SECONDS
from audit_operator.shipping.collector.ottl import attribute, concat, or_empty, text
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.redaction.rendering import KEY_ID, KEY_SECRET, NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.shipping.redaction.keyring import Epoch

KEYS_FILE = "pseudonyms.yaml"
_ID, _SECRET = "id", "secret"
_NOBODY = "-"
"""Has no key: an empty file is no YAML map."""
_BEFORE = "="
"""What a key of the file begins with: the key of records without a namespace could not be empty."""


def lookup(file: str) -> dict[str, Any]:
    """A lookup processor that puts the key of a record's namespace into its attributes, for redaction."""
    # Not `concat` alone: a request may have a namespace of the name that it writes where there is none.
    namespace = or_empty(attribute(NAMESPACE))
    found = [{"source": _ID, "destination": KEY_ID}, {"source": _SECRET, "destination": KEY_SECRET}]
    return {
        "source": {"type": "yaml", "path": file, "reload_interval": f"{RELOAD_SECONDS}s"},
        "lookups": [{"key": concat(text(_BEFORE), namespace), "attributes": found}],
    }


def keys_text(namespaces: Iterable[str], epoch: Epoch | None) -> str:
    """The file, with the present keys of these namespaces; ``""`` stands for records without one. A secret."""
    entries = {_NOBODY: {_ID: ""}}
    for each in namespaces:
        key = epoch.present(each) if epoch else None
        if key is not None:
            entries[f"{_BEFORE}{each}"] = {_ID: key.id, _SECRET: key.secret}
    return yaml_text(entries)
