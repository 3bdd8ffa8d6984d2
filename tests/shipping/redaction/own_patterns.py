"""Patterns as a tenant may write them to do harm, and events that they meet."""

from __future__ import annotations

from audit_operator.shipping.redaction.own_pattern import GROWN_BY, OwnPattern
from tests.shipping.redaction.corpus import event, widget

_WRITTEN = (
    ("order", "ACME-[0-9]{4,8}", "[ORDER]"),
    ("case", "(?i)internal-[a-z]+", "x"),
    ("quote", 'Q"?Q', '"'),
    ("structure", '"note":"break[^}]*', "gone"),
    ("braces", r"\{\}BRACE", "{"),
    ("number", "90210[0-9]", "zip"),
    ("word", "line[a-z]+", "-"),
    ("group", "(g1)(g2)", "$2${1}$"),
    ("who", "dora|alice|get|create", "nobody"),
)
PATTERNS = tuple(sorted(parsed for written in _WRITTEN if isinstance(parsed := OwnPattern.parse(*written), OwnPattern)))

ATTACKS = [
    event("widgets", requestObject=widget(spec={"note": note}), responseObject=[note, 902101, {"note": note}])
    for note in (
        "ACME-12345 and ACME-1",
        "INTERNAL-thing",
        'QQ and Q"Q',
        'break"},"x',
        "{}BRACE",
        "902101",
        "first\nlinefeed\\nline\\\\nlineb\tlinec",
        "g1g2",
        "dora asked alice to get and create",
        "",
    )
] + [
    event("widgets", requestObject="ACME-12345", responseObject=902101),
    event("pods", "log", requestObject=None, responseObject={"kind": "Status", "message": 'User "dora" cannot get'}),
]

GROWING = (
    OwnPattern("p0", "[b-y]", "b" * 64),
    OwnPattern("p1", "bb|é", "bé$" * 21),
    OwnPattern("p2", "b", "\x7f" * 64),
    OwnPattern("p3", "[bc]", "b" * 64),
)
"""Each puts in much for little, in which the next finds more."""
NUMBERS = (OwnPattern("a", "[0-9]", "[REDACTED]"), OwnPattern("b", "E", "x" * 64), OwnPattern("c", "[Rx]{2}", "$"))

# Of a text of single digits, with as many other bytes before each, so many can be replaced by [REDACTED].
FITTING = {"0": GROWN_BY // 8, "é0": GROWN_BY // 6, "é0é": GROWN_BY // 4}
AT_THE_BOUND = [
    event("widgets", requestObject=widget(spec={"note": each}), responseObject=each)
    for some, most in FITTING.items()
    for each in (some * (most - 1), some * most, some * (most + 1), f"{some * most}0", f"{some * most}\x1a")
]
