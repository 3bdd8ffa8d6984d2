"""Conditions of EQL and ES|QL, which are alike enough to be read by one parser.

In both, a comparison with a field that is absent is null, and so is its negation; EQL's documentation does not say so
for all of its operators, and its rules are read both ways.
"""

from __future__ import annotations

import re

from audit_operator.detections.boolean import BooleanParser
from audit_operator.detections.condition import FALSE, TRUE, Condition, Negation, Test
from audit_operator.detections.elastic_fields import field_or_constant, tested
from audit_operator.detections.kql import kql
from audit_operator.detections.pattern import Comparison, Pattern
from audit_operator.detections.tokens import Token, Tokens

_KINDS = {
    "skip": r"\s+|/\*.*?\*/|//[^\n]*",
    "quoted": r'"""(?:.*?)"""|"(?:[^"\\]|\\.)*"',
    "name": r"`[^`]+`",
    "number": r"-?\d+(?:\.\d+)?(?![\w.])",
    "sign": r"==|!=|<=|>=|in~|like~|regex~|[<>():,]",
    "word": r"[A-Za-z_@][\w.@-]*(?:/[\w.-]+)*",
}
_KEYWORDS = frozenset({"and", "or", "not", "in", "like", "rlike", "regex", "is", "null", "true", "false"})
_ORDERS = {
    "<": Comparison.BELOW,
    "<=": Comparison.AT_MOST,
    ">": Comparison.ABOVE,
    ">=": Comparison.AT_LEAST,
}
_FUNCTIONS = {
    "starts_with": Comparison.STARTS,
    "startswith": Comparison.STARTS,
    "ends_with": Comparison.ENDS,
    "endswith": Comparison.ENDS,
}
_LIKE = frozenset({"like", "like~"})
_MATCHING = frozenset({"rlike", "regex", "regex~"})


def expression(text: str, *, unknown_if_absent: bool) -> Condition:
    """The condition that a text is.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    return _Parser(text, unknown_if_absent=unknown_if_absent).condition()


class _Parser(BooleanParser):
    def __init__(self, text: str, *, unknown_if_absent: bool) -> None:
        super().__init__(Tokens(text, _KINDS, keywords=_KEYWORDS))
        self._unknown = unknown_if_absent

    def _joined(self) -> Condition:
        tokens = self._tokens
        if tokens.took("true"):
            return TRUE
        if tokens.next.kind == "word" and tokens.ahead(1).kind == "(":
            return self._function()
        return self._comparison(self._field())

    def _function(self) -> Condition:
        tokens = self._tokens
        problem = tokens.problem("the function is not known")
        start = tokens.take()
        name = start.text.lower()
        tokens.take("(")
        if name == "kql":
            text = self._text()
            tokens.take(")")
            return kql(text)
        if name == "to_string":
            field = self._field()
            tokens.take(")")
            return self._comparison(field)
        if name not in _FUNCTIONS:
            raise problem
        field = self._field()
        tokens.take(",")
        pattern = Pattern(_FUNCTIONS[name], self._text())
        tokens.take(")")
        return self._test(field, (pattern,), tokens.since(start))

    def _comparison(self, field: str) -> Condition:
        tokens = self._tokens
        start = tokens.next
        if tokens.took("is"):
            negated = tokens.took("not")
            tokens.take("null")
            return self._presence(field, present=negated)
        negated = tokens.took("not")
        sign = tokens.take("==", "!=", ":", "in", "in~", *_ORDERS, *_LIKE, *_MATCHING)
        if sign.kind in ("==", "!=") and tokens.took("null"):
            return self._presence(field, present=sign.kind == "!=")
        patterns = tuple(_pattern(sign, each) for each in self._values())
        found = self._test(field, patterns, f"{field} {tokens.since(start)}") if patterns else FALSE
        return Negation(found) if negated or sign.kind == "!=" else found

    def _presence(self, field: str, *, present: bool) -> Condition:
        found = tested(field, Test(field_or_constant(field), place=field))
        return found if present else Negation(found)

    def _test(self, field: str, patterns: tuple[Pattern, ...], place: str) -> Condition:
        test = Test(field_or_constant(field), patterns, unknown_if_absent=self._unknown, place=place)
        return tested(field, test)

    def _field(self) -> str:
        return self._tokens.take("word", "name").text.strip("`")

    def _values(self) -> list[str]:
        tokens = self._tokens
        if not tokens.took("("):
            return [self._text()]
        found = []
        while not tokens.took(")"):
            found.append(self._text())
            if tokens.next.kind != ")":
                tokens.take(",")
        return found

    def _text(self) -> str:
        token = self._tokens.take("quoted", "number", "true", "false")
        if token.kind != "quoted":
            return token.text.lower()
        if token.text.startswith('"""'):
            return token.text[3:-3]
        return re.sub(r"\\(.)", r"\1", token.text[1:-1])


def _pattern(sign: Token, text: str) -> Pattern:
    if sign.kind in _ORDERS:
        return Pattern(_ORDERS[sign.kind], text)
    if sign.kind in _MATCHING:
        return Pattern(Comparison.REGEX, text, sign.kind == "regex~")
    ignore_case = sign.kind in (":", "in~", "like~")
    if sign.kind in _LIKE or sign.kind == ":":
        if "?" in text:
            parts = {"*": ".*", "?": "."}
            return Pattern(Comparison.REGEX, "".join(parts.get(each, re.escape(each)) for each in text), ignore_case)
        if "*" in text:
            return Pattern(Comparison.GLOB, text, ignore_case)
    return Pattern(Comparison.EQUALS, text, ignore_case)
