"""What is a question, and what is none."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.reading.question import MOST_RECORDS, BadQuestion, Format, parameters, read
from audit_operator.sinks.selection import Attribute, Order, Scope

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMESPACE = ("namespace", "payments")


def question(*given):
    return read((NAMESPACE, *given), NOW)


def test_the_last_hour_of_a_namespace_newest_first_is_what_is_asked_by_default():
    asked = question()
    assert (asked.namespaces, asked.since, asked.until) == (("payments",), NOW - timedelta(hours=1), NOW)
    assert (asked.limit, asked.order, asked.format, asked.equal) == (100, Order.NEWEST, Format.NDJSON, ())


def test_records_without_a_namespace_are_asked_for_by_a_word_of_their_own():
    assert read([("clusterScoped", "true")], NOW).namespaces == ("",)
    assert question(("clusterScoped", "true")).namespaces == ("", "payments")
    assert question(("clusterScoped", "false")).namespaces == ("payments",)


def test_several_namespaces_have_commas_between():
    assert read([("namespace", "b,a")], NOW).namespaces == ("a", "b")


def test_a_resource_may_have_a_subresource():
    assert question(("resource", "pods/exec")).equal == ((Attribute.RESOURCE, "pods"), (Attribute.SUBRESOURCE, "exec"))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-03-01T11:00:00Z", NOW - timedelta(hours=1)),
        ("2026-03-01T12:30:00.5+01:00", NOW - timedelta(minutes=29, seconds=59, microseconds=500000)),
    ],
)
def test_times_are_moments_or_ages(text, moment):
    assert question(("since", text)).since == moment


NONE = [
    [],
    [("namespace", "")],
    [("namespace", "payments,")],
    [("namespace", ",payments")],
    [("namespace", "payments,payments")],
    [("namespace", "*")],
    [("namespace", "pay*")],
    [("namespace", "Payments")],
    [("namespace", "payments ")],
    [("namespace", "payments\n")],
    [("namespace", "payments\0")],
    [("namespace", "pаyments")],  # noqa: RUF001  # a Cyrillic letter
    [("namespace", "pay\u200bments")],
    [("namespace", "\uff50ayments")],
    [("namespace", 'a" or namespace:="b')],
    [("namespace", ",".join(f"n{number}" for number in range(33)))],
    [("namespace", "a"), ("namespace", "b")],
    [("clusterScoped", "false")],
    [("clusterScoped", "yes")],
    *(
        [NAMESPACE, each]
        for each in [
            ("query", "*"),
            ("Namespace", "other"),
            ("namespace ", "other"),
            ("namespace[]", "other"),
            ("limit", "0"),
            ("limit", "-1"),
            ("limit", "1e3"),
            ("limit", "10001"),
            ("limit", "٣"),
            ("order", "newest | delete"),
            ("format", "csv"),
            ("level", "metadata"),
            ("stage", "*"),
            ("code", "4xx"),
            ("code", "²00"),
            ("verb", "get or *"),
            ("resource", "pods/exec/x"),
            ("resource", "/"),
            ("user", ""),
            ("user", "a\0"),
            ("user", "x" * 1025),
            ("contains", "a\nb"),
            ("since", "now"),
            ("since", "999999d"),
            ("since", "0000-01-01T00:00:00Z"),
            ("since", "2026-02-30T00:00:00Z"),
            ("since", "2026-03-01"),
            ("since", "0s"),
            ("until", "2h"),
            ("until", "9999-12-31T23:59:59-14:00"),
        ]
    ),
]


@pytest.mark.parametrize("given", NONE)
def test_what_is_not_understood_is_refused_and_not_quoted(given):
    with pytest.raises(BadQuestion) as refused:
        read(given, NOW)
    assert str(refused.value).isascii()


@pytest.mark.parametrize(
    "target",
    [
        "/r?namespace",
        "/r?namespace=a&&user=b",
        "/r?namespace=%ff",
        "/r?namespace=ä",
        "/r#?namespace=a",
        "/r?" + "a=b&" * 5000,
    ],
)
def test_an_address_that_is_none_is_refused(target):
    with pytest.raises(BadQuestion):
        parameters(target)


def test_a_semicolon_separates_nothing_and_what_is_encoded_twice_is_decoded_once():
    assert parameters("/r?namespace=a;namespace=b&user=%2526") == [("namespace", "a;namespace=b"), ("user", "%26")]


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=40)), max_size=4))
def test_whatever_is_given_is_a_question_of_namespaces_or_refused(given):
    try:
        asked = read(given, NOW)
    except BadQuestion:
        return
    assert asked.namespaces
    assert asked.selection(map(Scope, asked.namespaces), ()).limit <= MOST_RECORDS


@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=9).filter(str.isprintable), st.text(min_size=1)), min_size=1, max_size=3
    )
)
def test_what_is_encoded_comes_back(given):
    given = [(name, value.encode("utf-8", "replace").decode()) for name, value in given]
    target = "/r?" + "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in given)
    assert parameters(target) == given
