from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.retention.change import GRACE, Announcement
from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.retention.orders import Remembered, Told, steps

NOW = datetime(2026, 11, 28, tzinfo=UTC)
PERIODS = st.integers(1, 2000)
WEEK = [None] * GRACE.days


@st.composite
def wanted(draw):
    minimum = draw(st.just(0) | PERIODS)
    maximum = draw(st.none() | PERIODS)
    demand = Demand(minimum, None if maximum is None else max(minimum, maximum), legal_hold=draw(st.booleans()))
    names = ("a", "b", "c")
    some = st.frozensets(st.sampled_from(names))
    return RetentionClass(demand, names, confirmed=draw(some), unclear=draw(some))


announced = st.none() | st.builds(
    Announcement, PERIODS, st.integers(0, 20).map(lambda days: NOW - timedelta(days=days))
)
since = st.none() | st.integers(0, 20).map(lambda days: NOW - timedelta(days=days))
remembered = st.builds(
    Remembered,
    st.builds(Told, st.none() | PERIODS, announced, since, st.booleans()),
    st.just(0) | PERIODS,
    st.booleans(),
)
memory = st.dictionaries(st.sampled_from("abc"), remembered)


def by_namespace(made):
    return {name: each for each in made for name in each.namespaces}


@given(wanted(), memory, st.booleans())
def test_nothing_is_deleted_under_a_hold_nor_before_the_minimum_nor_where_a_policy_cannot_be_read(each, known, can):
    for name, step in by_namespace(steps([each], known, {each.name} if can else (), NOW)).items():
        if step.delete_after is not None:
            assert can
            assert not each.demand.legal_hold
            assert step.delete_after >= each.demand.minimum
            assert name not in each.unclear


@given(wanted(), memory)
def test_every_namespace_is_in_one_step_and_to_decide_again_changes_nothing(each, known):
    made = steps([each], known, {each.name}, NOW)
    assert sorted(name for step in made for name in step.namespaces) == list(each.namespaces)
    demand = each.demand
    after = {
        name: Remembered(step.told, demand.minimum, demand.legal_hold) for name, step in by_namespace(made).items()
    }
    assert by_namespace(steps([each], after, {each.name}, NOW)) == by_namespace(made)


@given(wanted(), memory)
def test_whatever_was_protected_before_has_its_time_even_if_the_shorter_maximum_is_confirmed(each, known):
    for name, step in by_namespace(steps([each], known, {each.name}, NOW)).items():
        before = known.get(name)
        if before is None or step.delete_after is None or step.delete_after == before.told.delete_after:
            continue
        assert not before.legal_hold
        assert before.minimum <= step.delete_after


@given(wanted(), memory)
def test_a_confirmation_hastens_only_what_was_known_and_unprotected_for_a_week(each, known):
    for name, step in by_namespace(steps([each], known, {each.name}, NOW)).items():
        before = known.get(name, Remembered(Told()))
        told = before.told
        if step.delete_after is None or (told.delete_after is not None and told.delete_after <= step.delete_after):
            continue
        if told.announced is None or told.announced.delete_after != step.delete_after or told.announced.due > NOW:
            assert name in each.confirmed
            assert told.settled or told.since + GRACE <= NOW
            assert not before.legal_hold
            assert before.minimum <= each.demand.minimum


@st.composite
def days_of_anything(draw):
    """Each day what is demanded, whether the store deletes by order, and whether all is remembered the day after."""
    short = st.integers(1, 4)
    made = []
    for _ in range(draw(st.integers(1, 6))):
        minimum, maximum = draw(st.just(0) | short), draw(st.none() | short)
        demand = Demand(minimum, None if maximum is None else max(minimum, maximum), legal_hold=draw(st.booleans()))
        names = ("web",)
        some = st.frozensets(st.just("web"))
        each = RetentionClass(demand, names, confirmed=draw(some), unclear=draw(some))
        present, keeps = draw(st.booleans()), draw(st.booleans())
        made += [(each if present else None, keeps)] * draw(st.sampled_from([1, 3, 9]))
    return made


@given(days_of_anything())
def test_whatever_happens_nothing_goes_that_was_protected_or_of_no_known_end_within_a_week(days):
    known = {}
    for today, (each, remembers) in enumerate(days):
        if each is None:
            known = {}
            continue
        [step] = steps([each], known, {each.name}, NOW + timedelta(days=today))
        if step.delete_after is not None:
            assert today >= GRACE.days
            for before, remembered_then in days[today - GRACE.days : today]:
                assert remembered_then
                assert before is not None
                assert before.demand.delete_after is not None
                assert before.demand.minimum <= step.delete_after
        demand = each.demand
        known = {"web": Remembered(step.told, demand.minimum, demand.legal_hold)} if remembers else {}


def rounds(demands, confirmed, days):
    """What is deleted each day: `demands` by the day from which on they count; None: nothing is demanded."""
    known, result = {}, []
    for day in range(days):
        demand = max((item for item in demands.items() if item[0] <= day), key=lambda item: item[0])[1]
        if demand is None:
            known, result = {}, [*result, None]
            continue
        each = RetentionClass(demand, ("web",), confirmed=frozenset({"web"} if confirmed else ()))
        [step] = steps([each], known, {each.name}, NOW + timedelta(days=day))
        known = {"web": Remembered(step.told, demand.minimum, demand.legal_hold)}
        result.append(step.delete_after)
    return result


def test_a_hold_that_is_lifted_gives_a_week_to_see_it_whatever_was_confirmed():
    after = {0: Demand(maximum=720), 8: Demand(maximum=720, legal_hold=True), 10: Demand(maximum=720)}
    assert rounds(after, confirmed=True, days=19) == [*WEEK, 720, None, None, *WEEK, 720, 720]


def test_a_policy_that_kept_longer_and_is_gone_gives_a_week_to_see_it_and_goes_on_as_before_meanwhile():
    after = {0: Demand(minimum=2160, maximum=2160), 8: Demand(maximum=720)}
    assert rounds(after, confirmed=True, days=17) == [*WEEK, 2160, *[2160] * GRACE.days, 720, 720]


def test_a_shorter_maximum_that_is_confirmed_counts_at_once():
    assert rounds({0: Demand(maximum=2160), 8: Demand(maximum=720)}, confirmed=True, days=10) == [*WEEK, 2160, 720, 720]


def test_a_confirmation_hastens_nothing_that_was_not_known_for_a_week():
    assert rounds({0: Demand(maximum=720)}, confirmed=True, days=9) == [*WEEK, 720, 720]
    after = {0: Demand(maximum=2160), 4: Demand(maximum=720)}
    assert rounds(after, confirmed=True, days=9) == [*WEEK, 720, 720]


def test_a_namespace_that_was_without_any_demand_for_a_round_waits_anew():
    after = {0: Demand(maximum=720), 8: None, 9: Demand(maximum=720)}
    assert rounds(after, confirmed=True, days=17) == [*WEEK, 720, None, *WEEK, 720]


def test_a_minimum_that_was_lowered_before_the_maximum_was_shortened_gives_a_week_all_the_same():
    after = {0: Demand(720, 2160), 8: Demand(0, 2160), 9: Demand(maximum=24)}
    assert rounds(after, confirmed=True, days=16) == [*WEEK, 2160, *[2160] * GRACE.days, 24]
