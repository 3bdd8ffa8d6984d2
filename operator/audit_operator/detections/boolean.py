"""What the languages of rules have in common: conditions joined by and, or, not and brackets."""

from __future__ import annotations

from abc import ABC, abstractmethod

from audit_operator.detections.condition import Condition, Every, Negation, Some
from audit_operator.detections.tokens import END, Tokens


class BooleanParser(ABC):
    """Reads a condition; what is joined, each language reads itself."""

    def __init__(self, tokens: Tokens) -> None:
        """Read from these words."""
        self._tokens = tokens

    def condition(self) -> Condition:
        """All of the text as one condition.

        Raises:
            NotUnderstoodError: something in it is not understood.
        """
        found = self._some()
        self._end()
        return found

    @abstractmethod
    def _joined(self) -> Condition:
        """A condition without and, or, not and brackets around it."""

    def _end(self) -> None:
        self._tokens.take(END)

    def _some(self) -> Condition:
        parts = [self._every()]
        while self._tokens.took("or"):
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _every(self) -> Condition:
        parts = [self._one()]
        while self._tokens.took("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self) -> Condition:
        if self._tokens.took("not"):
            return Negation(self._one())
        if self._tokens.took("("):
            found = self._some()
            self._tokens.take(")")
            return found
        return self._joined()
