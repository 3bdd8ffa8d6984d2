import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.retention.demand import Demand
from audit_operator.retention.judgement import Facts
from audit_operator.retention.searchable import FOR_EVER, is_searchable, searchable

PERIODS = st.none() | st.integers(1, 10_000)


@pytest.mark.parametrize(
    ("demand", "facts", "said"),
    [
        (Demand(hot=24), Facts(None, searchable=True), FOR_EVER),
        (Demand(hot=24), Facts(720, searchable=True), "30d"),
        (Demand(hot=24, maximum=240), Facts(720, searchable=True), "10d"),
        (Demand(hot=24, maximum=240, legal_hold=True), Facts(None, searchable=True), FOR_EVER),
        (Demand(hot=24), Facts(720), ""),
        (Demand(hot=24), Facts(None, searchable=True, unknown=True), ""),
    ],
)
def test_a_store_is_searchable_until_it_or_the_operator_deletes(demand, facts, said):
    assert searchable(demand, facts) == said


@given(PERIODS, PERIODS, st.integers(1, 10_000), st.booleans(), st.booleans())
def test_what_is_long_enough_is_deleted_by_nobody_before(deletes_after, maximum, hot, can, known):
    said = searchable(Demand(hot=hot, maximum=maximum), Facts(deletes_after, searchable=can, unknown=not known))
    ends = [each for each in (deletes_after, maximum) if each is not None]
    assert is_searchable(said, hot) == (can and known and all(each >= hot for each in ends))
