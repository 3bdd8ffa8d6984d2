"""How much may be thought about one detection: steps are counted, not seconds, so that equal input has equal answers.

A tenant writes conditions as it likes, and whoever judges them works for all tenants. What is not decided within its
steps is not decided; nothing is guessed, and nobody waits.
"""

from __future__ import annotations

MAX_STEPS = 20_000_000
"""Of a rule that somebody asks about at a terminal: about half a minute."""


class WorkEndedError(Exception):
    """The steps are used up."""


class Work:
    """Counts steps: one is a comparison of a value with a pattern, or something that takes about as long (1 µs).

    Attributes:
        spent: steps that were made.
    """

    __slots__ = ("_most", "spent")

    def __init__(self, most: int = MAX_STEPS) -> None:
        self._most = most
        self.spent = 0

    def spend(self, steps: int) -> None:
        """Count steps before they are made.

        Raises:
            WorkEndedError: there are no more.
        """
        self.spent += steps
        if self.spent > self._most:
            raise WorkEndedError
