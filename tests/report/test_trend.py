import json

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.parsing import to_json
from audit_operator.api.policy_status import Verdict
from audit_operator.report.model import Group, Report
from audit_operator.report.trend import EarlierReport, read_earlier, trend
from tests.report.sample import sample


def earlier(report):
    read = read_earlier(json.dumps(to_json(report)))
    assert isinstance(read, EarlierReport), read
    return read


def with_groups(*groups):
    return sample().model_copy(update={"groups": groups})


def test_a_report_reads_back_as_it_was_written():
    assert Report.model_validate_json(json.dumps(to_json(sample()))) == sample()


def test_nothing_has_changed_since_the_same_report():
    found = trend(earlier(sample()), sample())
    assert not found.changes
    assert found.added == found.removed == ()
    assert found.before == found.after == sample().counts


def test_what_got_worse_comes_first_and_names_where():
    before = with_groups(
        Group(cluster=True, verdicts={"a": Verdict.GAP}),
        Group(namespaces=("x", "y"), verdicts={"a": Verdict.COVERED, "b": Verdict.COVERED}),
        Group(namespaces=("gone",), verdicts={"a": Verdict.LEAK}),
    )
    after = with_groups(
        Group(cluster=True, verdicts={"a": Verdict.COVERED}),
        Group(namespaces=("x",), verdicts={"a": Verdict.LEAK, "b": Verdict.COVERED}),
        Group(namespaces=("new", "y"), verdicts={"a": Verdict.LEAK, "b": Verdict.PARTIAL}),
    )
    found = trend(earlier(before), after)
    said = [(each.action, each.before, each.after, each.cluster, each.namespaces) for each in found.changes]
    assert said == [
        ("a", "Covered", "Leak", False, ("x", "y")),
        ("b", "Covered", "Partial", False, ("y",)),
        ("a", "Gap", "Covered", True, ()),
    ]
    assert [each.is_worse for each in found.changes] == [True, True, False]
    assert (found.added, found.removed) == (("new",), ("gone",))
    assert found.before.leaks == 0


def test_a_report_of_another_release_is_read_for_what_is_compared():
    document = to_json(sample()) | {"news": 1}
    document["policies"] = [{"unheard": "of"}]
    assert isinstance(read_earlier(json.dumps(document)), EarlierReport)


def test_what_is_no_report_says_why():
    assert "not JSON" in read_earlier("{")
    assert "no AuditReport" in read_earlier("[]")
    assert "groups" in read_earlier(json.dumps({**to_json(sample()), "groups": 7}))


VERDICTS = st.dictionaries(st.sampled_from("abc"), st.sampled_from([Verdict.COVERED, Verdict.GAP, Verdict.LEAK]))
PLACES = st.dictionaries(st.sampled_from(["n1", "n2", "n3"]), VERDICTS)


@given(PLACES, PLACES)
def test_every_difference_in_a_place_that_both_have_is_told_once(before, after):
    def report(places):
        return with_groups(*(Group(namespaces=(name,), verdicts=each) for name, each in places.items()))

    found = trend(earlier(report(before)), report(after))
    told = [(name, each.action, each.before, each.after) for each in found.changes for name in each.namespaces]
    expected = {
        (name, action, before[name].get(action), after[name].get(action))
        for name in before.keys() & after.keys()
        for action in before[name].keys() | after[name].keys()
        if before[name].get(action) != after[name].get(action)
    }
    assert set(told) == expected
    assert len(told) == len(expected)
