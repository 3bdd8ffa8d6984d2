"""Patterns as a tenant may write them to do harm, and events that they meet."""

from __future__ import annotations

from audit_operator.shipping.redaction.own_pattern import OwnPattern
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
