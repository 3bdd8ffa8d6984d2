"""What the shipper takes out of events before they leave the node."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from audit_operator.api.constraints import SET, ListType
from audit_operator.api.model import ApiModel
from audit_operator.api.text import ObjectName


class RedactionProfile(StrEnum):
    """Tested sets of places and patterns."""

    SECRETS = "Secrets"
    TOKENS = "Tokens"
    PII = "PII"
    FINANCIAL = "Financial"


class PseudonymizedField(StrEnum):
    """Parts of an event that name a person."""

    USERNAME = "Username"
    SOURCE_IPS = "SourceIPs"


class RedactionPattern(ApiModel):
    """One pattern of the user's own."""

    name: ObjectName = Field(description="Name of the pattern, unique in this policy; counters and reports show it.")
    regex: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        description="RE2 regular expression over string values of request and response bodies and of log lines."
    )
    replacement: Annotated[str, Field(max_length=64)] = Field(
        default="[REDACTED]", description="What a match is replaced with."
    )


class Redaction(ApiModel):
    """What is taken out of events and log lines. Where policies differ about the same events, everything named is."""

    profiles: Annotated[tuple[RedactionProfile, ...], Field(max_length=4), SET] = Field(
        default=(RedactionProfile.SECRETS, RedactionProfile.TOKENS),
        description="Built-in profiles. Secrets: data of Secrets and ConfigMaps, also inside last-applied annotations. "
        "Tokens: bearer tokens, TokenReviews, tokens in URLs and command lines. PII: e-mail addresses, phone "
        "numbers and the like. Financial: card and account numbers.",
    )
    patterns: Annotated[tuple[RedactionPattern, ...], Field(max_length=32), ListType("map", ("name",))] = Field(
        default=(), description="Patterns of your own, applied after the profiles."
    )
    pseudonymize: Annotated[tuple[PseudonymizedField, ...], Field(max_length=2), SET] = Field(
        default=(),
        description="Fields replaced by a keyed pseudonym rather than masked, so that the events of one person stay "
        "together without naming them: Username, SourceIPs.",
    )
