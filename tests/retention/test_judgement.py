import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.policy_status import RetentionState
from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.retention.judgement import WORST_FIRST, Facts, Gap, Mends, judge

MENDS = Mends("keep longer", "let it delete", "lock it")
PERIODS = st.none() | st.integers(1, 1000)


@st.composite
def demands(draw):
    minimum = draw(st.integers(0, 500))
    maximum = draw(PERIODS)
    maximum = None if maximum is None else max(minimum, maximum)
    return Demand(minimum, maximum, legal_hold=draw(st.booleans()), immutable=draw(st.booleans()))


facts = st.builds(
    Facts, PERIODS, st.integers(0, 24), can_delete=st.booleans(), immutable=st.booleans(), overdue=st.integers(0, 3)
)


@given(demands(), facts)
def test_enforced_is_said_only_of_a_store_that_keeps_and_deletes_as_demanded(demand, seen):
    if judge(RetentionClass(demand, ("web",)), seen, MENDS).state is not RetentionState.ENFORCED:
        return
    if seen.deletes_after is not None:
        assert not demand.legal_hold
        assert seen.deletes_after >= demand.minimum
    if demand.delete_after is not None:
        by_itself = seen.deletes_after is not None and seen.deletes_after + seen.later <= demand.delete_after
        assert seen.can_delete or by_itself
    assert seen.immutable or not demand.immutable
    assert not seen.overdue


@given(demands(), facts)
def test_whatever_is_not_enforced_says_why(demand, seen):
    made = judge(RetentionClass(demand, ("web",)), seen, MENDS)
    assert bool(made.reason) == (made.state is not RetentionState.ENFORCED)


@pytest.mark.parametrize(
    ("demand", "seen", "state", "part"),
    [
        (Demand(minimum=48), Facts(24), RetentionState.PARTIAL, "2d are demanded at the least"),
        (Demand(legal_hold=True, maximum=24), Facts(48), RetentionState.PARTIAL, "a legal hold is demanded"),
        (Demand(maximum=24), Facts(None), RetentionState.PARTIAL, "let it delete"),
        (Demand(maximum=24), Facts(None, can_delete=True), RetentionState.ENFORCED, ""),
        (Demand(maximum=24), Facts(24), RetentionState.ENFORCED, ""),
        (Demand(immutable=True), Facts(None), RetentionState.UNSUPPORTED, "lock it"),
        (Demand(maximum=24), Facts(None, can_delete=True, overdue=7), RetentionState.PENDING, "7 records"),
        (
            Demand(minimum=48),
            Facts(24, gaps=(Gap(RetentionState.DRIFTED, "changed by hand", "see who did"),)),
            RetentionState.DRIFTED,
            "changed by hand (see who did); 2d are demanded",
        ),
    ],
)
def test_the_worst_decides_and_all_is_named(demand, seen, state, part):
    made = judge(RetentionClass(demand, ("web",)), seen, MENDS)
    assert made.state is state
    assert part in made.reason


def test_a_conflict_is_said_even_where_the_store_does_what_is_left():
    made = judge(RetentionClass(Demand(minimum=48), ("web",), conflicting=True), Facts(None), MENDS)
    assert made.state is RetentionState.CONFLICT


def test_every_state_has_its_place():
    assert set(WORST_FIRST) == set(RetentionState)
