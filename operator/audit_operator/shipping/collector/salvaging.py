"""From a line that no parser reads, the event that it begins with: who did what from where, and with which answer.

What the API server writes into bodies as it came, the collector's parser may refuse: a number like ``1e999``, or a
nesting of ten thousand; and a line that is too long is cut. Whoever may send a request can make such a line, also where
the request succeeds, and would hide that it was his.

Go writes the fields of an event in the order of its type: first what names the request and its answer, all of it of the
API server's own making, then bodies, then times and annotations. So the line is read up to its bodies by a grammar that
knows no other place for them: quotes within strings are escaped, and a key of that name deeper down, which
impersonation can bring about, is not where the grammar looks for one. Nothing that a sender writes ends it earlier, and
neither does another line that follows where half of this one is missing.

What stands behind the bodies can be told from what a body holds only in a line that is whole: its brackets then are
balanced, and no other event begins in it. In any other line it is left out, the times, too.

Source: `Event` in `pkg/apis/audit/v1/types.go` of kubernetes/apiserver 1.37, which is what the gateway gets as well.
"""

from __future__ import annotations

from audit_operator.shipping.collector.attributes import CUT, RAW, UNREADABLE
from audit_operator.shipping.collector.ottl import SilentStatements, assign, attribute, cache, concat, text

BODIES, REST = "bodies", "rest"
"""What could not be read of an event: its bodies, or all that comes from there on."""

STRING = r'"(?:[^"\\]|\\.)*"'
_DEEPEST = 4
"""Brackets within a field's own ones: `causes` of a status has three."""


def _nested(depth: int) -> str:
    inner = "|" + _nested(depth - 1) if depth else ""
    return rf"[{{\[](?:[-,:0-9]|true|false|null|{STRING}{inner})*[}}\]]"


START = '{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"'
HEAD = (
    r'^(?P<head>\{"kind":"Event","apiVersion":"audit[.]k8s[.]io/v1","level":"[A-Za-z]+",'
    rf'"auditID":{STRING},"stage":"[A-Za-z]+","requestURI":{STRING},"verb":{STRING},"user":{_nested(_DEEPEST)}'
    rf'(?:,"[A-Za-z]+":(?:{STRING}|{_nested(_DEEPEST)}))*?),"(?:requestObject|responseObject)":'
)
"""All that stands before the bodies."""
_TIME = '"[-0-9T:.]+Z"'
_ANNOTATIONS = rf"\{{{STRING}:{STRING}(?:,{STRING}:{STRING})*\}}"
TAIL = (
    rf'(?P<tail>,"requestReceivedTimestamp":{_TIME},"stageTimestamp":{_TIME}'
    rf'(?:,"annotations":{_ANNOTATIONS})?\}})[ \t\r\n]*$'
)
"""All that stands behind them. In a line that is whole, it cannot begin within a body: that would have to end here, and
leave a bracket open."""
_BRACKETS = (("{", "}"), ("[", "]"))


def salvage() -> SilentStatements:
    """Make the body an event, and RAW its text, where what was read is no event but begins with one."""
    raw, head, tail, found = attribute(RAW), cache("head"), cache("tail"), cache("found")
    bare, event = cache("bare"), cache("event")
    begins, ends, salvaged = f"{head} != nil", f"{tail} != nil", "IsMap(log.body)"
    balanced = (f"{_number(bare, opening)} == {_number(bare, closing)}" for opening, closing in _BRACKETS)
    whole = " and ".join((ends, *balanced, f"{_number(raw, START)} == 2"))
    return SilentStatements(
        (
            assign(found, f"ExtractPatterns({raw}, {text(HEAD)})"),
            assign(head, f'{found}["head"]', f'{found}["head"] != nil'),
            assign(found, f"ExtractPatterns({raw}, {text(TAIL)})", begins),
            assign(tail, f'{found}["tail"]', f'{begins} and {found}["tail"] != nil'),
            assign(bare, raw, ends),
            f"replace_pattern({bare}, {text(STRING)}, {text('')}) where {ends}",
            f"delete_key(log.cache, {text('tail')}) where {ends} and not ({whole})",
            assign(event, concat(head, text("}")), begins),
            assign(event, concat(head, tail), ends),
            assign("log.body", f"ParseJSON({event})", begins),
            assign(attribute(UNREADABLE), text(REST), salvaged),
            assign(attribute(UNREADABLE), text(BODIES), f"{salvaged} and {ends}"),
            assign(attribute(CUT), f"Len({raw})", salvaged),
            assign(raw, event, salvaged),
        ),
        ("not IsMap(log.body)", f"IsString({raw})"),
    )


def _number(path: str, literal: str) -> str:
    """Into how many parts a literal takes a text: one more than the times that it stands there."""
    return f"Len(Split({path}, {text(literal)}))"
