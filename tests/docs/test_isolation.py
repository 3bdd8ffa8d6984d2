"""docs/isolation.md lists every attack of one tenant on another that is tried, and what became of it."""

from __future__ import annotations

from pathlib import Path

from audit_operator.plan import plan
from audit_operator.plan.shipping import shipping
from audit_operator.plan.status import statuses
from tests.shipping.tenant_attacks import ATTACKS, TENANTS, policy, snapshot

PAGE = Path(__file__).parents[2] / "docs" / "isolation.md"
FINDINGS = {"redaction-pattern-refused", "shipped-as-recorded"}


def test_the_table_has_every_attack_in_the_words_of_the_tests():
    rows = "".join(f"{row}\n" for row in table())
    assert PAGE.read_text(encoding="utf-8").count(rows) == 1, f"docs/isolation.md should have:\n{rows}"


def table():
    yield "| attack | what it tries | the schema | what holds it |"
    yield "|---|---|---|---|"
    for (name, attack), namespace in zip(ATTACKS.items(), TENANTS, strict=True):
        answer = "refuses it" if policy(namespace, attack.spec) is None else "takes it"
        yield f"| {name} | {attack.tries} | {answer} | {attack.held_by} |"


def test_what_is_said_to_be_left_out_is_and_nothing_else():
    tenants = snapshot(TENANTS)
    planned = plan(tenants)
    said = {
        ref.namespace: {each["id"] for each in status.get("composition", {}).get("findings", ())}
        for ref, status in statuses(tenants, planned, {}).items()
        if ref.kind == "AuditPolicy"
    }
    remarks = [each for each in shipping(tenants, planned, "main").findings if each.id in FINDINGS]
    for (name, attack), namespace in zip(ATTACKS.items(), TENANTS, strict=True):
        found = said.get(namespace, set()) & FINDINGS
        found |= {each.id for each in remarks if f" {namespace} " in each.message}
        assert found == {each for each in FINDINGS if f"`{each}`" in attack.held_by}, name
