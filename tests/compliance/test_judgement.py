"""No control passes without an observation of all that it depends on, and none fails without one against it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.compliance import Framework
from audit_operator.compliance.controls import EvidenceKind, builtin_controls
from audit_operator.compliance.facts import Facts, LiveProof, Observation, Shown, Standing
from audit_operator.compliance.judgement import Outcome, judge, judge_control, passing_rate
from tests.compliance.policies import all_observed, coverage_of, facts

BASELINE, NOTHING = "Baseline", "- level: None"
EVERYTHING = "- level: RequestResponse"
OF_ACTIONS = {EvidenceKind.RECORDED, EvidenceKind.NOT_LEAKED}


def control(framework, identity):
    return next(each for each in builtin_controls() if (each.framework, each.id) == (framework, identity))


def outcomes(known, framework=Framework.PCI_DSS_4):
    return {each.control.id: each.outcome for each in judge([framework], known)[0].judged}


def test_a_pass_names_each_action_and_where_else_it_was_seen():
    found = judge_control(control(Framework.PCI_DSS_4, "10.2.1.5"), facts(BASELINE))
    assert found.outcome is Outcome.PASS
    assert "coverage/rbac-bindings-change" in {each.source for each in found.observations}
    assert found.observations[-1].source == EvidenceKind.IN_FORCE
    assert found.observations[-1].seen


def test_a_control_fails_by_the_action_that_is_not_recorded():
    found = judge_control(control(Framework.PCI_DSS_4, "10.2.1.5"), facts(NOTHING))
    assert found.outcome is Outcome.FAIL
    assert "secrets-write is Gap" in found.reason


def test_what_is_recorded_above_what_is_safe_is_recorded_all_the_same():
    found = outcomes(facts(EVERYTHING), Framework.NIST_800_53)
    assert found["AU-12"] is Outcome.PASS
    assert outcomes(facts(EVERYTHING), Framework.CIS)["3.2.2"] is Outcome.FAIL
    assert outcomes(facts(EVERYTHING), Framework.GDPR)["5(1)(c)"] is Outcome.FAIL


def test_a_leak_hides_no_gap():
    rules = "- {level: None, verbs: [get]}\n- level: RequestResponse"
    found = judge_control(control(Framework.PCI_DSS_4, "10.2.1.2"), facts(rules))
    assert found.outcome is Outcome.FAIL
    assert any("secrets-read" in each.source and each.standing is Standing.FAILS for each in found.observations)


def test_what_no_api_server_was_seen_to_run_passes_nothing():
    observed = all_observed() | {
        EvidenceKind.IN_FORCE: (Observation(Standing.NOT_OBSERVED, "1 of 3 API servers run with it", "Programmed"),)
    }
    found = outcomes(facts(BASELINE, observed=observed))
    assert {found[f"10.2.1.{number}"] for number in range(2, 8)} == {Outcome.CANNOT_BE_JUDGED}


def test_without_a_cluster_only_what_is_written_is_judged():
    found = outcomes(Facts("", coverage_of(BASELINE), as_written=True))
    assert found["10.2.1.2"] is Outcome.PASS
    assert {found[each] for each in ("10.2.1", "10.2.2", "10.3.1", "10.3.4", "10.5.1")} == {Outcome.CANNOT_BE_JUDGED}


def test_a_shorter_time_than_the_framework_asks_for_is_no_proof_that_it_is_kept():
    assert outcomes(facts(BASELINE))["10.5.1"] is Outcome.PASS
    found = judge_control(control(Framework.PCI_DSS_4, "10.5.1"), facts(BASELINE, asked=(2160, 0)))
    assert found.outcome is Outcome.CANNOT_BE_JUDGED
    assert "policies ask for 90 days, and this is about 366 days, 92 of them" in found.reason


def test_in_a_namespace_controls_of_the_cluster_are_about_nothing():
    found = outcomes(facts(BASELINE, "payments"), Framework.CIS)
    assert found["1.2.17"] is found["3.2.1"] is Outcome.NOT_APPLICABLE
    assert found["3.2.2"] is Outcome.PASS


def test_actions_that_nobody_can_do_in_a_namespace_are_not_applicable_there():
    nothing = replace(coverage_of(BASELINE, "payments"), actions=())
    found = judge_control(control(Framework.PCI_DSS_4, "10.2.1.3"), facts(BASELINE, "payments", coverage=nothing))
    assert found.observations[0].standing is Standing.NOT_APPLICABLE
    assert found.outcome is Outcome.NOT_APPLICABLE


def test_a_policy_that_is_not_known_passes_and_fails_nothing():
    found = outcomes(facts(BASELINE, coverage=None))
    assert {found[f"10.2.1.{number}"] for number in range(2, 8)} == {Outcome.CANNOT_BE_JUDGED}


def test_the_rate_is_over_what_was_judged_and_never_rounded_up():
    results = judge([Framework.PCI_DSS_4], facts(BASELINE, observed=all_observed(Standing.NOT_OBSERVED)))
    assert passing_rate(results) == ""
    observed = all_observed() | {EvidenceKind.SEALED: (Observation(Standing.FAILS, "SealMissing", "Sealed"),)}
    results = judge([Framework.PCI_DSS_4], facts(BASELINE, observed=observed))
    passed, failed = (results[0].count(each) for each in (Outcome.PASS, Outcome.FAIL))
    assert failed == 3
    assert passing_rate(results) == f"{int(100 * passed / (passed + failed))}%"
    assert passing_rate(results) != "100%"


ROLES = control(Framework.PCI_DSS_4, "10.2.1.5")
OF_ROLES = [
    each.action.id
    for each in coverage_of(BASELINE).actions
    if "10.2.1.5" in each.action.frameworks.get("PCI-DSS-4", ())
]


def test_a_control_passes_by_what_the_policy_says_and_tells_how_much_of_it_was_proved_live():
    claimed = judge_control(ROLES, facts(BASELINE))
    assert (claimed.outcome, claimed.proof) == (Outcome.PASS, LiveProof.CLAIMED)
    assert f"0 of {len(OF_ROLES)} actions proved live" in claimed.reason
    verified = dict.fromkeys(OF_ROLES, Shown(LiveProof.VERIFIED, seen="2026-11-28T11:00:00Z"))
    proved = judge_control(ROLES, facts(BASELINE, shown=verified))
    assert (proved.outcome, proved.proof) == (Outcome.PASS, LiveProof.VERIFIED)
    assert f"{len(OF_ROLES)} of {len(OF_ROLES)} actions proved live" in proved.reason
    assert {each.seen for each in proved.observations if each.proof} == {"2026-11-28T11:00:00Z"}


def test_what_a_live_probe_contradicts_fails_whatever_the_policy_says():
    shown = dict.fromkeys(OF_ROLES, Shown(LiveProof.VERIFIED)) | {
        OF_ROLES[0]: Shown(LiveProof.CONTRADICTED, "create x: level: predicted Metadata, found None (central)")
    }
    found = judge_control(ROLES, facts(BASELINE, shown=shown))
    assert (found.outcome, found.proof) == (Outcome.FAIL, LiveProof.CONTRADICTED)
    assert f"{OF_ROLES[0]} is Covered" in found.reason
    assert "contradicts it: create x: level: predicted Metadata, found None (central)" in found.reason


def test_a_record_that_was_not_found_again_keeps_from_passing_and_fails_nothing():
    found = judge_control(ROLES, facts(BASELINE, shown={OF_ROLES[0]: Shown(LiveProof.MISSING, "found none in time")}))
    assert (found.outcome, found.proof) == (Outcome.CANNOT_BE_JUDGED, LiveProof.MISSING)
    assert "found none in time" in found.reason


def test_that_a_gap_was_proved_closes_none():
    shown = dict.fromkeys(OF_ROLES, Shown(LiveProof.VERIFIED))
    assert judge_control(ROLES, facts(NOTHING, shown=shown)).outcome is Outcome.FAIL


def test_of_a_policy_in_a_file_nothing_is_proved_or_claimed():
    found = judge_control(ROLES, Facts("", coverage_of(BASELINE), as_written=True))
    assert found.proof is None
    assert "live" not in found.reason


STANDINGS = st.sampled_from(Standing)
ACTIONS = st.sampled_from([each.action.id for each in coverage_of(BASELINE).actions])


@given(
    st.dictionaries(st.sampled_from(EvidenceKind), STANDINGS),
    st.sampled_from([BASELINE, NOTHING, EVERYTHING]),
    st.dictionaries(ACTIONS, st.builds(Shown, st.sampled_from(LiveProof))),
)
def test_no_control_passes_with_anything_unseen_and_none_fails_with_nothing_against_it(standings, rules, shown):
    observed = {kind: (Observation(each, "said", "source"),) for kind, each in standings.items()}
    for result in judge(Framework, facts(rules, observed=observed, shown=shown)):
        for each in result.judged:
            seen = {line.standing for line in each.observations}
            if each.outcome is Outcome.PASS:
                assert seen <= {Standing.HOLDS, Standing.NOT_APPLICABLE}
                assert Standing.HOLDS in seen
                assert standings.keys() >= set(each.control.evidence) - OF_ACTIONS
                assert each.proof not in (LiveProof.CONTRADICTED, LiveProof.MISSING)
            assert (each.outcome is Outcome.FAIL) == (Standing.FAILS in seen)


@pytest.mark.parametrize("kind", EvidenceKind)
def test_every_kind_of_evidence_counts_for_some_control(kind):
    without = {each: seen for each, seen in all_observed().items() if each is not kind}
    changed = [
        (before, after)
        for before, after in zip(
            judge(Framework, facts(BASELINE)), judge(Framework, facts(BASELINE, observed=without)), strict=True
        )
        if before != after
    ]
    assert changed or kind in OF_ACTIONS
