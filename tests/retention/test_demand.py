import dataclasses
import itertools

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.compliance import Framework
from audit_operator.api.findings import ObjectRef
from audit_operator.api.retention import Retention
from audit_operator.retention.demand import Demand, Wish, combine, period
from audit_operator.retention.frameworks import REQUIREMENTS, requirements

PERIODS = st.one_of(st.integers(1, 60), st.integers(1, 800).map(lambda days: days * 24))


@st.composite
def wishes(draw):
    minimum = draw(st.one_of(st.just(0), PERIODS))
    maximum = draw(st.none() | PERIODS)
    maximum = None if maximum is None else max(maximum, minimum)
    return Wish(
        ObjectRef("AuditPolicy", f"p{draw(st.integers(0, 5))}", "team"),
        minimum,
        maximum,
        draw(st.integers(0, minimum)),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.booleans()),
    )


several = st.lists(wishes(), max_size=5)


@given(several)
def test_nothing_is_deleted_before_any_minimum_is_over(asked):
    after = combine(asked).demand.delete_after
    assert after is None or all(after >= each.minimum for each in asked)


@given(several)
def test_a_legal_hold_beats_everything(asked):
    if any(each.legal_hold for each in asked):
        assert combine(asked).demand.delete_after is None


@given(several)
def test_without_conflict_nothing_is_kept_beyond_any_maximum(asked):
    made = combine(asked)
    limits = [each.maximum for each in asked if each.maximum is not None]
    if limits and made.conflict is None:
        assert made.demand.maximum == min(limits)


@given(several, st.randoms(use_true_random=False))
def test_the_order_of_policies_makes_no_difference(asked, random):
    unique = list({each.policy: each for each in asked}.values())
    other = unique.copy()
    random.shuffle(other)
    assert combine(unique) == combine(other)


@given(several)
def test_to_say_it_twice_changes_nothing(asked):
    assert combine([*asked, *asked]) == combine(asked)


@given(several, wishes())
def test_another_policy_never_shortens_a_minimum_nor_lifts_a_hold_nor_a_lock(asked, more):
    before, after = combine(asked).demand, combine([*asked, more]).demand
    assert after.minimum >= before.minimum
    assert after.hot >= before.hot
    assert after.legal_hold >= before.legal_hold
    assert after.immutable >= before.immutable


@given(several, several)
def test_classes_have_one_name_each(one, other):
    first, second = combine(one).demand, combine(other).demand
    assert (first == second) == (first.name == second.name)


@given(several)
def test_a_deletion_is_confirmed_only_by_those_who_ask_for_it(asked):
    made = combine(asked)
    limits = [each for each in asked if each.maximum is not None]
    if made.confirmed:
        shortest = min(each.maximum for each in limits)
        assert all(each.confirmed for each in limits if each.maximum == shortest)


def test_a_conflict_names_both_policies_and_the_article_and_the_minimum_wins():
    keeps = Wish.of(ObjectRef("AuditPolicy", "pci", "pay"), None, [Framework.PCI_DSS_4])
    deletes = Wish.of(ObjectRef("ClusterAuditPolicy", "gdpr"), Retention(maximum="30d"))
    made = combine([deletes, keeps])
    said = str(made.conflict)
    assert "pci" in said
    assert "gdpr" in said
    assert "10.5.1" in said
    assert "30d" in said
    assert made.demand.delete_after == keeps.minimum


def test_a_framework_only_ever_lengthens():
    own = Retention(minimum="10y", hot="1d")
    wish = Wish.of(ObjectRef("AuditPolicy", "a", "b"), own, [Framework.PCI_DSS_4, Framework.GDPR])
    assert wish.minimum == 10 * 365 * 24
    assert wish.hot == 92 * 24
    assert wish.maximum is None


def test_records_of_policies_that_say_nothing_are_nobodys_business():
    made = combine([Wish(ObjectRef("AuditPolicy", "a", "b"))])
    assert made.demand == Demand()
    assert not made.demand.asks_for_something
    assert made.demand.name == "default"


def test_every_framework_has_a_requirement_and_what_nobody_checked_is_marked():
    assert {each.framework for each in REQUIREMENTS} == set(Framework)
    assert all(("unverified" in str(each)) is (each.read_in == "") for each in REQUIREMENTS)
    assert [each.framework for each in requirements([Framework.SOC2, Framework.CIS])] == [Framework.CIS, Framework.SOC2]


def test_periods_are_written_as_people_do():
    assert [period(each) for each in (0, 1, 24, 36, 2160)] == ["0d", "1h", "1d", "36h", "90d"]


def test_every_field_of_a_demand_is_in_its_name():
    fields = {"minimum": 24, "maximum": 48, "hot": 12, "legal_hold": True, "immutable": True}
    assert {each.name for each in dataclasses.fields(Demand)} == set(fields)
    kinds = [dict(chosen) for number in range(6) for chosen in itertools.combinations(fields.items(), number)]
    assert len({Demand(**each).name for each in kinds}) == len(kinds)


@given(several)
def test_a_demand_is_found_again_by_its_name(wanted):
    demand = combine(wanted).demand
    assert Demand.named(demand.name) == demand


def test_what_is_the_name_of_no_demand_is_none():
    for name in ("", "min", "default-hold", "max30d-min20d", "min24h", "minimum", "min0d", "hold-worm", "min1d\n"):
        assert Demand.named(name) is None
