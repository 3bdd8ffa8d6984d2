"""Kibana's query language: ``field: (a or b*) and not field: c``."""

from __future__ import annotations

import re

from audit_operator.detections.condition import Condition, Every, Negation, Some, Test
from audit_operator.detections.elastic_fields import field_or_constant, tested
from audit_operator.detections.pattern import Comparison, Pattern
from audit_operator.detections.tokens import END, Token, Tokens

_KINDS = {
    "skip": r"\s+",
    "quoted": r'"(?:[^"\\]|\\.)*"',
    "sign": r"<=|>=|[:<>()]",
    "word": r"(?:\\.|[^\s():<>\"{}])+",
}
_KEYWORDS = frozenset({"and", "or", "not"})
_ORDERS = {
    "<": Comparison.BELOW,
    "<=": Comparison.AT_MOST,
    ">": Comparison.ABOVE,
    ">=": Comparison.AT_LEAST,
}


def kql(text: str) -> Condition:
    """The condition of a query.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    return _Parser(text).condition()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = Tokens(text, _KINDS, keywords=_KEYWORDS)

    def condition(self) -> Condition:
        found = self._some("")
        self._tokens.take(END)
        return found

    def _some(self, field: str) -> Condition:
        """Alternatives; of values if a field is given."""
        parts = [self._every(field)]
        while self._tokens.took("or"):
            parts.append(self._every(field))
        return _alternatives(parts)

    def _every(self, field: str) -> Condition:
        parts = [self._one(field)]
        while self._tokens.took("and"):
            parts.append(self._one(field))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self, field: str) -> Condition:
        tokens = self._tokens
        if tokens.took("not"):
            return Negation(self._one(field))
        if tokens.took("("):
            found = self._some(field)
            tokens.take(")")
            return found
        return self._value(field) if field else self._statement()

    def _statement(self) -> Condition:
        tokens = self._tokens
        name = tokens.take("word").text
        sign = tokens.take(":", *_ORDERS)
        if sign.kind in _ORDERS:
            token = tokens.take("word", "quoted")
            pattern = Pattern(_ORDERS[sign.kind], _literal(token))
            return tested(name, Test(field_or_constant(name), (pattern,), place=name))
        if tokens.took("("):
            found = self._some(name)
            tokens.take(")")
            return found
        return self._value(name)

    def _value(self, name: str) -> Condition:
        token = self._tokens.take("word", "quoted")
        place = f"{name}: {token.text}"
        field = field_or_constant(name)
        if token.text == "*":
            return tested(name, Test(field, place=place))
        globbed = token.kind == "word" and re.search(r"(?<!\\)\*", token.text)
        if globbed and re.search(r"\\\*", token.text):
            raise self._tokens.problem("a star of both sorts in one value")
        comparison = Comparison.GLOB if globbed else Comparison.EQUALS
        return tested(name, Test(field, (Pattern(comparison, _literal(token)),), place=place))


def _literal(token: Token) -> str:
    text = token.text[1:-1] if token.kind == "quoted" else token.text
    return re.sub(r"\\(.)", r"\1", text)


def _alternatives(parts: list[Condition]) -> Condition:
    """Alternatives; of values of one field a single test."""
    if len(parts) == 1:
        return parts[0]
    tests = [each for each in parts if isinstance(each, Test) and each.patterns]
    if len(tests) == len(parts) and len({each.field for each in tests}) == 1:
        patterns = tuple(pattern for each in tests for pattern in each.patterns)
        return Test(tests[0].field, patterns, place=f"{tests[0].place} or others")
    return Some(tuple(parts))
