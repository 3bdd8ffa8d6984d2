"""Facts in, decisions out: the one pure function that the operator, the command line and the tests share."""

from audit_operator.plan.planning import Plan, plan
from audit_operator.plan.snapshot import NamespaceFact, Snapshot

__all__ = ["NamespaceFact", "Plan", "Snapshot", "plan"]
