from audit_operator.integrity.comparison import MOST_TRIED, Extra, Missing, explain
from audit_operator.integrity.discovery import Kind
from audit_operator.integrity.interval import to_nanoseconds
from audit_operator.integrity.leaves import Entry
from audit_operator.integrity.record import Identity
from tests.integrity.sealed import START, hour

BEGIN = to_nanoseconds(START)
MANY = 10_000


def test_many_records_of_the_same_names_are_paired_without_trying_all_with_all(monkeypatch):
    """Clients choose audit IDs. Counted, and not timed: how long it takes depends on the machine."""
    same = Identity("same", "ResponseComplete", "payments")
    missing = [Missing(hour(0), 1, Entry(at.to_bytes(8, "big"), BEGIN + at, same)) for at in range(MANY)]
    extras = [Extra(hour(0), 1, same, BEGIN + 10**9 + at, at.to_bytes(32, "big")) for at in range(MANY)]
    tried = []

    def leaf(nanoseconds, _):
        tried.append(nanoseconds)
        return bytes(32)

    monkeypatch.setattr("audit_operator.integrity.comparison.leaf", leaf)
    found = explain(missing, extras)
    assert len(tried) <= (MOST_TRIED + 1) * MANY
    assert {each.kind for each in found} <= {Kind.RECORD_CHANGED, Kind.RECORD_MOVED}
    assert found[-1].records == MANY - 20 or sum(each.records for each in found) == MANY
