"""What the status of a sink says about retention, and what the operator remembers there: a restart forgets nothing."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from audit_operator.api.constraints import ATOMIC
from audit_operator.api.model import ApiModel
from audit_operator.api.policy_status import RetentionState
from audit_operator.api.text import Line, Timestamp, Word

MAX_CLASSES = 64
"""Of one sink. Of those beyond, in order of name but those that protect records first, nothing is deleted by order."""
MAX_NAMESPACES = 10_001
"""Of one class: 10,000, and records of none. Of one that has more, nothing is deleted by order."""
MAX_FOLDERS = 128
"""Of one sink. Of those beyond, nothing is deleted by order."""
MAX_GROUPS = 512
"""Of one class, for namespaces that were told something at another time."""


class AnnouncedDeletion(ApiModel):
    """A deletion that has not begun."""

    delete_after: Word = Field(description="Age at which records are going to be deleted, for example 30d.")
    since: Timestamp = Field(description="When this was first said.")
    due: Timestamp = Field(description="From when on it is done, unless policies change before.")


class ToldNamespaces(ApiModel):
    """Namespaces of one class of which the store was told the same."""

    namespaces: Annotated[tuple[Word, ...], Field(max_length=MAX_NAMESPACES), ATOMIC] = Field(
        description="The namespaces; an empty name stands for records of none."
    )
    delete_after: Word = Field(
        default="", description="Age at which records are deleted by order of the operator. Absent: they are not."
    )
    announced: AnnouncedDeletion | None = Field(default=None, description="What is going to be deleted, and when.")
    since: Timestamp | None = Field(
        default=None,
        description="Since when a maximum is known without a break, and no minimum was lowered nor legal hold lifted.",
    )
    settled: bool = Field(
        default=False, description="Whether that is so for more than a week, so that confirmDeletion counts at once."
    )


class ClassRetention(ApiModel):
    """What was asked of the sink for namespaces of equal demands, and what it does."""

    name: Word = Field(alias="class", description="Name of the class.")
    desired: Word = Field(description="What the policies together ask for.")
    effective: Word = Field(default="", description="What the store says it does by itself.")
    searchable: Word = Field(
        default="",
        description="Where policies ask for hot: how long records can be searched at once, for example 90d, or "
        "`for ever`. Absent: not at all, or nobody can tell.",
    )
    state: RetentionState = Field(description="How the two compare.")
    oldest: Timestamp | None = Field(default=None, description="Time of the oldest record found.")
    last_verified: Timestamp | None = Field(
        default=None, description="When the store was found in this state; within a day, unless something changed."
    )
    reason: Line = Field(default="", description="Why.")
    minimum: Word = Field(default="", description="How long records are kept at the least.")
    legal_hold: bool = Field(default=False, description="Whether nothing is deleted.")
    told: Annotated[tuple[ToldNamespaces, ...], Field(max_length=MAX_GROUPS), ATOMIC] = Field(
        default=(), description="What the store was told of which namespaces."
    )


class NamespacesOfFolder(ApiModel):
    """Namespaces whose records come to a folder."""

    namespaces: Annotated[tuple[Word, ...], Field(max_length=MAX_NAMESPACES), ATOMIC] = Field(
        description="The namespaces; an empty name stands for records of none."
    )
    delete_after: Word = Field(
        default="",
        description="Age at which their records could be deleted when something was last asked of them. Absent: never.",
    )


class FormerNamespaces(ApiModel):
    """Namespaces whose new records lie in another folder."""

    namespaces: Annotated[tuple[Word, ...], Field(max_length=MAX_NAMESPACES), ATOMIC] = Field(
        description="The namespaces; an empty name stands for records of none."
    )
    since: Timestamp = Field(description="Since when.")
    delete_after: Word = Field(
        default="",
        description="Age at which their records could be deleted when something was last asked of them. Absent: never.",
    )


class NewNamespaces(ApiModel):
    """Namespaces that had no records in a folder before."""

    namespaces: Annotated[tuple[Word, ...], Field(max_length=MAX_NAMESPACES), ATOMIC] = Field(
        description="The namespaces; an empty name stands for records of none."
    )
    since: Timestamp = Field(description="Since when they may have some.")


class ClassFolder(ApiModel):
    """A folder in which the records of one class lie, and who else may have records there."""

    name: Line = Field(description="Name of the folder, below the prefix of the sink.")
    delete_after: Word = Field(
        default="", description="Age at which everything in it is deleted by order. Absent: nothing is."
    )
    members: Annotated[tuple[NamespacesOfFolder, ...], Field(max_length=MAX_NAMESPACES), ATOMIC] = Field(
        default=(), description="Those whose records come there."
    )
    formerly: Annotated[tuple[FormerNamespaces, ...], Field(max_length=MAX_NAMESPACES), ATOMIC] = Field(
        default=(), description="Those who left the class, until nothing lies there from their time."
    )
    arrived: Annotated[tuple[NewNamespaces, ...], Field(max_length=MAX_NAMESPACES), ATOMIC] = Field(
        default=(), description="Those who came of late, and of whom a deletion is announced."
    )
    unknown: Timestamp | None = Field(
        default=None,
        description="Until when others may have written there of whom nothing is known, so that nothing is deleted.",
    )


class RetentionOfSink(ApiModel):
    """Retention in the store of one sink."""

    store: Line = Field(description="Address of the store that this speaks about.")
    settings: Line = Field(default="", description="Its settings that matter, as they were found.")
    classes: Annotated[tuple[ClassRetention, ...], Field(max_length=MAX_CLASSES), ATOMIC] = Field(
        default=(), description="The classes, in order of name."
    )
    folders: Annotated[tuple[ClassFolder, ...], Field(max_length=MAX_FOLDERS), ATOMIC] = Field(
        default=(), description="Where the store deletes by folder: one for the records of each class."
    )
