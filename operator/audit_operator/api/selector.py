"""Label selectors, with the meaning of `metav1.LabelSelector`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from audit_operator.api.constraints import ATOMIC, Constraint
from audit_operator.api.model import ApiModel

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_KEY = 317  # a prefix of 253 characters, a slash and a name of 63

LabelKey = Annotated[str, Field(min_length=1, max_length=MAX_KEY, pattern="^[-./_a-zA-Z0-9]+$")]
LabelValue = Annotated[str, Field(max_length=63, pattern="^([a-zA-Z0-9]([-._a-zA-Z0-9]*[a-zA-Z0-9])?)?$")]

# A schema cannot bound the keys of a map, and a rule over all of them is too dear for the API server's cost estimate
# unless it looks at their sizes alone.
Labels = Annotated[
    dict[str, LabelValue],
    Field(max_length=32),
    Constraint(
        rule=f"self.all(key, size(key) > 0 && size(key) <= {MAX_KEY})",
        message=f"must have label keys of 1 to {MAX_KEY} characters",
        holds=lambda labels: all(0 < len(key) <= MAX_KEY for key in labels),
    ),
]


class SelectorOperator(StrEnum):
    """How a label's value relates to a list of values."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelSelectorRequirement(ApiModel):
    """One requirement on one label."""

    key: LabelKey = Field(description="Label key, with its prefix.")
    operator: SelectorOperator = Field(
        description="In and NotIn compare with values; NotIn also holds where the label is absent. Exists and "
        "DoesNotExist look at the key alone."
    )
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64), ATOMIC] = Field(
        default=(), description="Values for In and NotIn, at least one; none for Exists and DoesNotExist."
    )

    constraints = (
        Constraint(
            rule="(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            message="must hold values for In and NotIn, and none for Exists and DoesNotExist",
            holds=lambda self: (self.operator in ("In", "NotIn")) == bool(self.values),
            field="values",
        ),
    )


class LabelSelector(ApiModel):
    """Picks objects by their labels; every requirement must hold, and an empty selector picks everything."""

    match_labels: Labels = Field(default_factory=dict, description="Labels that must have exactly these values.")
    match_expressions: Annotated[tuple[LabelSelectorRequirement, ...], Field(max_length=32), ATOMIC] = Field(
        default=(), description="Requirements beyond equality."
    )


def selector_matches(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector picks an object with these labels; no selector picks everything.

    Semantics of `metav1.LabelSelector`: all requirements hold, and NotIn holds where the label is absent.
    """
    if selector is None:
        return True
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    return all(_holds(each.operator, labels.get(each.key), each.values) for each in selector.match_expressions)


def _holds(operator: str, value: str | None, values: tuple[str, ...]) -> bool:
    match operator:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None
