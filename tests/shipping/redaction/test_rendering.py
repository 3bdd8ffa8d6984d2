"""What is looked for in a line is found, whatever is looked for first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.shipping.collector.ottl import attribute, cache
from audit_operator.shipping.redaction.rendering import HIT, render
from audit_operator.shipping.redaction.rules import RULES, Rule, stands
from tests.shipping.redaction.corpus import EVERYTHING

if TYPE_CHECKING:
    from audit_operator.shipping.redaction.demand import RedactionDemand

LITERALS = sorted({literal for rule in RULES for literal in rule.literals})
PLAIN = [rule for rule in RULES if not rule.gates and rule.literals != ("last-applied-configuration",)]
_LOOKED_FOR = re.compile(r'Index\((?P<path>log[.]cache\["(?P<name>raw|low)"\]), "(?P<literal>(?:[^"\\]|\\.)*)"\) >= 0')


def condition(demand: RedactionDemand, target: str) -> str:
    """Of the statement that looks for the literals of rules; in Python, of `raw` and `low`."""
    statements = [each for group in render(demand) for each in group.statements]
    found = next(each for each in statements if each.startswith(f"set({target}, true)") and "Index" in each)
    _, _, where = found.partition(" where ")
    said = _LOOKED_FOR.sub(lambda match: f'"{match["literal"]}" in {match["name"]}', where)
    return re.sub(r'log[.](?:attributes|cache)\["[a-z.]+"\] (?:==|!=) nil', "True", said)


def rules(*scopes: str) -> list[Rule]:
    return [rule for rule in PLAIN if rule.scope.value in scopes]


LOOKS = {
    target: (compile(condition(EVERYTHING, target), target, "eval"), rules(*scopes))
    for target, scopes in ((attribute(HIT), ["everywhere"]), (cache("words"), ["words"]))
}


@given(
    st.lists(st.sampled_from(LITERALS) | st.text(max_size=3), max_size=4).map("".join), st.sampled_from(sorted(LOOKS))
)
def test_a_line_is_looked_into_just_where_a_literal_of_some_rule_stands_in_it(raw, target):
    look, mine = LOOKS[target]
    low = raw.lower()
    assert eval(look, {"raw": raw, "low": low}) == any(stands(rule, raw, low) for rule in mine)  # noqa: S307  # ours
