"""Policies of hostile tenants, which are to break, slow or read the streams of others; and what keeps each from it.

docs/isolation.md has the table of them, which a test compares with this one; that it holds is shown by
tests/integration/shipping/test_isolation.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from audit_operator.api.audit_policy import AuditPolicy
from audit_operator.api.parsing import parse_object
from audit_operator.plan import NamespaceFact, Snapshot
from tests.plan.objects import control_plane, parsed

SURROGATES, SEPARATOR, MARK = "\U0001f600", "\u2028", "\ufeff"


@dataclass(frozen=True)
class Attack:
    """A policy's spec.

    Attributes:
        tries: what it is to do.
        held_by: why it does not; with the id of the finding that says so, where there is one.
    """

    tries: str
    held_by: str
    spec: dict[str, Any]


def rules(**fields):
    return {"rules": [{"level": "RequestResponse", **fields}]}


def pattern(regex, replacement="x", name="p"):
    return redacting({"name": name, "regex": regex, "replacement": replacement})


def patterns(*written):
    return redacting(*({"name": f"p{n}", "regex": each, "replacement": put} for n, (each, put) in enumerate(written)))


def redacting(*written):
    return {"rules": [{"level": "RequestResponse"}], "redaction": {"profiles": [], "patterns": list(written)}}


ATTACKS = {
    "a pattern that matches everything": Attack(
        "withhold every body, also of others",
        "left out (`redaction-pattern-refused`): it matches the empty string",
        pattern(".*"),
    ),
    "a pattern that takes quotes": Attack(
        "break the JSON of an event, so that nobody can read the line",
        "patterns run over its own namespace's bodies alone; a body that is no JSON afterwards is withheld",
        pattern('"'),
    ),
    "a pattern that takes braces": Attack(
        "the same",
        "the same",
        pattern("[{}]"),
    ),
    "a pattern that breaks escapes": Attack(
        "leave a lone backslash where `\\\\n` was",
        "the escapes before a match are read as a whole, and put back",
        pattern("n", "\\"),
    ),
    "a pattern that matches nothing at all": Attack(
        "put its replacement between all characters",
        "the schema: a pattern has a character at least",
        pattern(""),
    ),
    "a pattern that repeats without end": Attack(
        "stop the collector by nested repetition",
        "RE2: time grows with the length of a text, not as a power of it",
        pattern("(a*)*b"),
    ),
    "a pattern that backtracks in other engines": Attack(
        "the same",
        "the same",
        pattern("(x+x+)+y"),
    ),
    "a pattern of a thousand copies": Attack(
        "a program of gigabytes from ten characters",
        "left out (`redaction-pattern-refused`): at most 500 characters with repetitions written out",
        pattern("((a{100}){100}){100}"),
    ),
    "a pattern that is no expression": Attack(
        "have the collector refuse the configuration of all",
        "left out (`redaction-pattern-refused`): what RE2 and Python read alike stands in the decision table",
        pattern("(["),
    ),
    "a pattern with a statement in it": Attack(
        "close the statement that it stands in, and begin one that changes levels",
        "left out (`redaction-pattern-refused`), as its brackets do not match; others stand in no statement",
        pattern('") set(log.body["level"], "None") ('),
    ),
    "a replacement with a group": Attack(
        "let bodies grow with each event",
        "`$` is doubled, and is a character",
        pattern("(a)", "$1$1$1$1"),
    ),
    "a replacement that expands": Attack(
        "read a file of the node into the configuration",
        "it stands in the decision table, where nothing is expanded",
        pattern("a", "${file:/etc/passwd}"),
    ),
    "a replacement from the environment": Attack(
        "read the collector's environment",
        "the same",
        pattern("a", "${env:PATH}"),
    ),
    "a replacement that ends the text": Attack(
        "end the text that was replaced, and add a field `level`",
        "a replacement is escaped as JSON before it is written into a text of JSON",
        pattern("a", '"}, "level": "None'),
    ),
    "a replacement with a new line": Attack(
        "make two lines of one",
        "the same",
        pattern("a", "\n{}\n"),
    ),
    "patterns that grow": Attack(
        "make a text 64 times as long, 32 times over",
        "matches are counted first; where all would make the text more than twice as long, and 4 KiB, each becomes `*`",
        patterns(*[("[a-z]", "a" * 64)] * 32),
    ),
    "a name with a statement in it": Attack(
        "begin a statement in the name of a pattern",
        "the schema: names are words",
        pattern("a", name='") where true'),
    ),
    "a user with a statement in it": Attack(
        "begin a statement in the name of a user",
        "users of rules are keys of the decision table; no statement is made of them",
        rules(users=['" or true or "']),
    ),
    "a user with the table's separator": Attack(
        "answer for another state, namespace or URL",
        "keys begin with what the table gives (a number, `namespace|`), and all that is behind is the name",
        rules(users=["|", "c0|", "namespace|quiet", "url|"]),
    ),
    "a user beyond the basic plane": Attack(
        "two surrogates, which no parser of YAML reads: the table would be gone for all",
        "the table is JSON with YAML's escapes, in ASCII",
        rules(users=[SURROGATES]),
    ),
    "users whose names fill a key": Attack(
        "a key of more than 1,024 characters, which YAML does not take",
        "keys stand behind a question mark, where they may have any length",
        rules(users=['"' * 512, SURROGATES * 200, "\\" * 512]),
    ),
    "a pattern of many alternatives": Attack(
        "time in the collector, and in the operator that judges the pattern",
        "RE2 there; here, the pattern is only tried on texts of one character",
        pattern("(?:" + "|".join(f"[^{letter}]" for letter in "abcdefghijklmnop") + ")*%"),
    ),
    "a user with YAML's layout": Attack(
        "end a line, begin a map, name a type",
        "all but printable ASCII is escaped",
        rules(users=[SEPARATOR, MARK, "\x85", "\x7f", "a\nb: c", "- *x", "!!binary x"]),
    ),
    "a user that expands": Attack(
        "read a file of the node into the table",
        "the table is no configuration: nothing in it is expanded",
        rules(users=["${file:/etc/passwd}", "$$", "$"]),
    ),
    "a group with an empty name": Attack(
        "be the group of whoever has none",
        "the schema: a group has a character at least",
        rules(userGroups=["", "a"]),
    ),
    "a group with a comma": Attack(
        "answer for two groups",
        "a state asks for groups by their place, and is answered true or false: no name is part of a key",
        rules(userGroups=["true,true", "false"]),
    ),
    "more groups than can be told apart": Attack(
        "a table of 2^60 states",
        "a state asks for 8 groups at most; this list is left out (`shipped-as-recorded`), alone",
        rules(userGroups=[f"g{index}" for index in range(60)]),
    ),
    "every combination of groups and resources": Attack(
        "the same with few rules",
        "500 states at most: left out (`shipped-as-recorded`), alone",
        {
            "rules": [
                {
                    "level": "Metadata",
                    "userGroups": [f"g{index}"],
                    "resources": [{"group": "", "resources": [f"r{index}"]}],
                }
                for index in range(30)
            ]
        },
    ),
    "many users": Attack(
        "a table so large that it is read too slowly",
        "a list has 500 states and 2,000 entries at most, or is left out",
        {"rules": [{"level": "Request", "users": [f"u{index}-{n}" for n in range(60)]} for index in range(30)]},
    ),
    "resources with slashes and stars": Attack(
        "stand for all resources",
        "the schema knows the four forms there are",
        rules(resources=[{"group": "", "resources": ["*/*", "a/b/c", "/", "*/"]}]),
    ),
    "resource names with separators": Attack(
        "answer for another resource",
        "as with users: the name is all that is behind the number",
        rules(resources=[{"group": "", "resources": ["pods"], "resourceNames": ["|", "/", "", SURROGATES]}]),
    ),
    "a verb with a separator": Attack(
        "answer for another state",
        "the schema: verbs are lower-case words",
        rules(verbs=["get|", "|", "*"]),
    ),
    "nothing to be recorded": Attack(
        "hide the events of others",
        "its own list is asked about its own namespace, and what others ask for there counts, too",
        {"rules": [{"level": "None"}]},
    ),
}
TENANTS = {f"evil-{number}": attack.spec for number, attack in enumerate(ATTACKS.values())}


def policy(namespace, spec):
    document = {
        "apiVersion": "audit-operator.dev/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": "own", "namespace": namespace, "generation": 1},
        "spec": {**spec, "sinkRefs": [{"kind": "AuditSink", "name": "own"}]},
    }
    made = parse_object(document)
    return made if isinstance(made, AuditPolicy) else None  # refused by the API server as well


def sink(namespace):
    store = {"type": "VictoriaLogs", "victoriaLogs": {"url": f"http://{namespace}.example:9428"}}
    return parsed("AuditSink", "own", store, namespace)


def snapshot(tenants):
    specs = {"quiet": rules(verbs=["get"]), **tenants}
    made = {namespace: policy(namespace, spec) for namespace, spec in specs.items()}
    return Snapshot(
        audit_policies=tuple(filter(None, made.values())),
        audit_sinks=tuple(sink(namespace) for namespace in specs),
        control_planes=(control_plane(),),
        namespaces=tuple(NamespaceFact(namespace) for namespace in specs),
    )
