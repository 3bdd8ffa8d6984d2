"""An action is verified if all of its requests were found everywhere, and not before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.findings import ObjectRef
from audit_operator.api.policy_status import ProofOutcome
from audit_operator.api.proof_observations import Tally
from audit_operator.coverage.catalogue import Sender
from audit_operator.coverage.operations import Operation
from audit_operator.proof.comparison import Compared, Outcome
from audit_operator.proof.requests import Aim
from audit_operator.proof.selecting import Selection, Unproved, UnprovedReason
from audit_operator.proof.standing import Result, most_at_once, share, standing

CENTRAL, OWN = ObjectRef("ClusterAuditSink", "central"), ObjectRef("AuditSink", "own", "payments")
READ = Aim(Operation("get", "", "secrets", in_namespace=True), "payments", Sender.PROBER)
DELETE = Aim(Operation("delete", "", "secrets", in_namespace=True), "payments", Sender.PROBER)
SELECTION = Selection({"a": (READ, DELETE), "b": (READ,)}, {"c": Unproved(UnprovedReason.NO_PROBE, "why")})
GOOD = Compared(Outcome.VERIFIED)
FOUND = Result({CENTRAL: GOOD, OWN: GOOD})
PATIENCE = 120.0
WHY = ("c", ProofOutcome.UNPROVED)


def outcomes(results):
    seen = standing(SELECTION, results, PATIENCE)
    return sorted(seen.verified), [(each.action, each.outcome) for each in seen.findings]


def test_an_action_needs_all_of_its_requests():
    assert outcomes({}) == ([], [WHY])
    assert outcomes({READ: FOUND}) == (["b"], [WHY])
    assert outcomes({READ: FOUND, DELETE: FOUND}) == (["a", "b"], [WHY])


def test_what_was_judged_is_counted_by_sink_and_of_the_oldest_the_day_is_kept():
    early, late = datetime(2026, 11, 27, 23, 59, tzinfo=UTC).timestamp(), datetime(2026, 11, 28, tzinfo=UTC).timestamp()
    results = {
        READ: Result({CENTRAL: GOOD, OWN: Compared(Outcome.MISSING)}, at=late),
        DELETE: Result({CENTRAL: "no answer", OWN: Compared(Outcome.CONTRADICTED)}, at=early),
    }
    seen = standing(SELECTION, results, PATIENCE)
    assert seen.oldest == date(2026, 11, 27)
    assert seen.tallies == (Tally(OWN, 2, 2), Tally(CENTRAL, 1, 0))
    seen = standing(SELECTION, {READ: Result({OWN: GOOD}), DELETE: FOUND}, PATIENCE)
    assert seen.tallies == (Tally(OWN, 2, 0, frozenset({"a", "b"})), Tally(CENTRAL, 1, 0, frozenset({"a"})))
    seen = standing(SELECTION, {READ: FOUND, DELETE: Result({CENTRAL: "no answer"}, at=late)}, PATIENCE)
    assert seen.tallies[1] == Tally(CENTRAL, 1, 0, frozenset({"b"}))
    unsent = standing(SELECTION, {READ: Result({}, "no token", at=early)}, PATIENCE)
    assert (unsent.tallies, unsent.oldest) == ((), None)


def test_of_a_request_with_a_body_that_is_said():
    with_body = replace(DELETE, operation=replace(DELETE.operation, verb="update"), with_body=True)
    selection = Selection({"a": (with_body,)}, {})
    wrong = Result({CENTRAL: Compared(Outcome.CONTRADICTED, "redaction", "taken out", "in clear")})
    [finding] = standing(selection, {with_body: wrong}, PATIENCE).findings
    assert finding.message == "update secrets with a body: redaction: predicted taken out, found in clear"


def test_one_sink_without_a_record_is_enough_to_say_so():
    missing = Result({CENTRAL: GOOD, OWN: Compared(Outcome.MISSING, "stages", "ResponseComplete", "none")})
    verified, found = outcomes({READ: FOUND, DELETE: missing})
    assert (verified, found) == (["b"], [("a", ProofOutcome.MISSING), WHY])
    [finding, _] = standing(SELECTION, {READ: FOUND, DELETE: missing}, PATIENCE).findings
    assert finding.sink == OWN
    assert finding.message == "delete secrets: predicted records at ResponseComplete, found none within 120 s"


def test_what_is_contradicted_comes_first_with_both_values():
    wrong = Result({CENTRAL: Compared(Outcome.CONTRADICTED, "level", "Metadata", "Request")})
    missing = Result({CENTRAL: Compared(Outcome.MISSING)})
    findings = standing(SELECTION, {READ: missing, DELETE: wrong}, PATIENCE).findings
    assert [each.outcome for each in findings[:2]] == [ProofOutcome.CONTRADICTED, ProofOutcome.MISSING]
    assert findings[0].message == "delete secrets: level: predicted Metadata, found Request"


def test_what_was_not_sent_or_could_not_be_asked_proves_nothing():
    for result in (
        Result({}, "no token"),
        Result({CENTRAL: "no answer"}),
        Result({CENTRAL: Compared(Outcome.UNKNOWN)}),
    ):
        verified, found = outcomes({READ: result, DELETE: FOUND})
        assert (verified, found[:2]) == ([], [("a", ProofOutcome.UNKNOWN), ("b", ProofOutcome.UNKNOWN)])


def test_records_that_go_nowhere_prove_nothing():
    verified, found = outcomes({READ: Result({}), DELETE: FOUND})
    assert (verified, found[0]) == ([], ("a", ProofOutcome.UNPROVED))


def test_a_strangers_record_is_said_and_takes_no_proof_away():
    strange = Result({CENTRAL: Compared(Outcome.VERIFIED, strangers=1)})
    verified, found = outcomes({READ: strange, DELETE: FOUND})
    assert (verified, found[0]) == (["a", "b"], ("a", ProofOutcome.FOREIGN))


@given(st.integers(1, 40), st.integers(1, 12))
def test_every_request_has_its_turn(count, most):
    aims = [Aim(Operation("get", "", f"r{number}"), "", Sender.PROBER) for number in range(count)]
    turns = [share(aims, most, turn) for turn in range(count)]
    assert all(len(turn) == min(most, count) == len(set(turn)) for turn in turns)
    assert {aim for turn in turns for aim in turn} == set(aims)
    if count > most:
        needed = -(-count // most)
        assert {aim for turn in turns[:needed] for aim in turn} == set(aims)


def test_ten_thousand_namespaces_have_each_a_part_of_a_days_probes():
    most = most_at_once(10_001, 1.0)
    assert most >= 1
    assert most * 10_001 <= 86_400
    assert most_at_once(10, 1.0) > 100
    assert most_at_once(1_000_000, 1.0) == 1
