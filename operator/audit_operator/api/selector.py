"""Label selectors, with the meaning of `metav1.LabelSelector`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from audit_operator.api.constraints import ATOMIC, Constraint
from audit_operator.api.model import ApiModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


def foreign_selector(document: Any) -> LabelSelector:
    """The selector of an object that is not of our kinds (decoded JSON), as the API server has taken it.

    It has none of the bounds that ours have, and what is null in it is not there.

    Raises:
        ValueError: it is none of which the meaning is known.
    """
    if not isinstance(document, dict) or not document.keys() <= {"matchLabels", "matchExpressions"}:
        raise ValueError("no label selector")
    labels, expressions = document.get("matchLabels") or {}, document.get("matchExpressions") or []
    if not isinstance(expressions, list) or not isinstance(labels, dict) or not _are_texts(labels.values()):
        raise ValueError("no labels, or no requirements on labels")
    return LabelSelector.model_construct(
        match_labels=labels, match_expressions=tuple(_foreign_requirement(each) for each in expressions)
    )


def _foreign_requirement(document: Any) -> LabelSelectorRequirement:
    if not isinstance(document, dict) or not document.keys() <= {"key", "operator", "values"}:
        raise ValueError("no requirement on a label")
    key, operator, values = document.get("key", ""), document.get("operator", ""), document.get("values") or []
    if not isinstance(values, list) or not _are_texts([key, operator, *values]):
        raise ValueError("no requirement on a label")
    known = SelectorOperator(operator)
    if (known in {SelectorOperator.IN, SelectorOperator.NOT_IN}) is not bool(values):
        raise ValueError(f"{known} does not go with these values")
    return LabelSelectorRequirement.model_construct(key=key, operator=known, values=tuple(values))


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(each, str) for each in values)


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
