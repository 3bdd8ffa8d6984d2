"""Lines that a configuration is tried with, and what must become of each; they travel with it to whoever tries it."""

from __future__ import annotations

from collections.abc import Mapping  # pydantic needs it at run time
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit_operator.shipping.redaction.key_tree import KeyTree
from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, Epoch

EPOCH = Epoch(since=datetime(2026, 1, 1, tzinfo=UTC), tree=KeyTree.grown(bytes(RANDOM_BYTES)))
"""Gives the keys of pseudonyms of planted lines. Anybody may know them, so that no record is ever made with them."""


class Planted(BaseModel):
    """One line.

    Attributes:
        name: what it is, for people.
        line: the text, without its end.
        exporters: ids of those that must get it, once or more; no other may.
        attributes: all that the record has, as text.
        time: of the record, in RFC 3339 as Go writes it; empty where the line has none.
        event: the record's text, parsed; None where the line is no event.
        text: the record's text, to the letter; None where that is not compared.
        loose: keys of the event whose values are not compared, since a cluster-wide policy's own pattern may match
            anything there.
        gone: what must be nowhere in the record.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    line: str
    exporters: tuple[str, ...]
    attributes: Mapping[str, str] = Field(default_factory=dict)
    time: str = ""
    event: Mapping[str, Any] | None = None
    text: str | None = None
    loose: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """Tells its record from those of all other lines, also from a record that is not as it must be."""
        return key_of(self.attributes)


class Canary(BaseModel):
    """All lines for one configuration.

    Attributes:
        version: of this form; who does not know it tries nothing.
        log: path of the API server's log that lines are read from; empty where they are posted.
        planted: the lines, in their order.
        pseudonymous: namespaces whose fields get pseudonyms, of those that lines are about; ``""`` stands for none.
        counts: how many of the lines each condition of detections holds for, by its id.
        unreadable: how many of the lines are counted as such that cannot be read, or not as a whole.
        untried: what none of the lines is about, in words; empty where there is nothing.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    log: str
    planted: tuple[Planted, ...]
    pseudonymous: tuple[str, ...] = ()
    counts: Mapping[str, int] = Field(default_factory=dict)
    unreadable: int = 0
    untried: str = ""

    def encoded(self) -> str:
        """The same text for the same lines."""
        return self.model_dump_json()

    @classmethod
    def decoded(cls, text: str) -> Self | None:
        """Read what `encoded` made; None where there is nothing that is understood here."""
        try:
            return cls.model_validate_json(text) if text else None
        except ValidationError:
            return None


def key_of(attributes: Mapping[str, str]) -> tuple[str, ...]:
    """Of an event its ID and stage; of a line that is none, whose it is and why; of an application's, its file."""
    if "source" in attributes:
        return attributes["source"], attributes.get("id", "")
    names = ("auditID", "stage") if attributes.get("auditID") else ("quarantine", "namespace", "unseen")
    return tuple(attributes.get(each, "") for each in names)
