from hypothesis import given
from hypothesis import strategies as st

from audit_operator.cluster.status import NO_STATUS, observe_status, status_digest, with_transition_times


def condition(type_="Ready", status="True", since="", **more):
    return {"type": type_, "status": status, **({"lastTransitionTime": since} if since else {}), **more}


def test_a_condition_keeps_its_time_while_its_status_stays():
    before = observe_status({"conditions": [condition(since="then", reason="Old")]})
    written = with_transition_times({"conditions": [condition(reason="New")]}, before, "now")
    assert written["conditions"] == [condition(since="then", reason="New")]


def test_a_condition_gets_a_new_time_when_its_status_changes():
    before = observe_status({"conditions": [condition(since="then")]})
    written = with_transition_times({"conditions": [condition(status="False")]}, before, "now")
    assert written["conditions"][0]["lastTransitionTime"] == "now"


def test_a_new_condition_gets_the_present_time():
    written = with_transition_times({"conditions": [condition()], "rest": 1}, NO_STATUS, "now")
    assert written == {"conditions": [condition(since="now")], "rest": 1}


def test_a_condition_stored_without_a_time_gets_one():
    before = observe_status({"conditions": [condition()]})
    assert with_transition_times({"conditions": [condition()]}, before, "now")["conditions"][0]["lastTransitionTime"]


def test_times_and_the_order_of_conditions_and_keys_do_not_count():
    first = {"a": 1, "b": 2, "conditions": [condition("A", since="x"), condition("B", since="y")]}
    second = {"conditions": [condition("B"), condition("A")], "b": 2, "a": 1}
    assert status_digest(first) == status_digest(second)


def test_everything_else_counts():
    base = {"a": [1, 2], "conditions": [condition(reason="R")]}
    others = [
        {**base, "a": [2, 1]},
        {**base, "conditions": [condition(reason="S")]},
        {**base, "conditions": [condition(reason="R"), condition("B")]},
        {**base, "b": None},
    ]
    assert len({status_digest(each) for each in [base, *others]}) == 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["conditions", "x", "y"]), JSON) | JSON)
def test_no_status_written_by_anybody_breaks_the_reader(status):
    observe_status(status)


def test_stamping_does_not_change_what_a_status_says():
    status = {"x": 1, "conditions": [condition("A"), condition("B", "Unknown")]}
    assert status_digest(with_transition_times(status, NO_STATUS, "now")) == status_digest(status)
