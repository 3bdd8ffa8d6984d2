"""Who may read what, and for how long that is remembered."""

import itertools
from datetime import timedelta

import pytest

from audit_operator.reading.load import Load, share
from audit_operator.reading.memory import Memory
from audit_operator.reading.permission import REMEMBERED_SECONDS, Permissions
from audit_operator.reading.refusal import Refused
from audit_operator.reading.reviews import Existing
from audit_operator.sinks.selection import Scope
from tests.reading.fakes import CREATED, FakeJudge


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def judge():
    return FakeJudge()


@pytest.fixture
def permissions(judge, clock):
    memories = [Memory(REMEMBERED_SECONDS, most, clock) for most in (3, 100, 3)]
    return Permissions(judge, *memories)


async def scopes(permissions, token, *namespaces):
    return await permissions.scopes(await permissions.who(token), namespaces)


async def test_a_namespace_is_read_from_when_it_was_made(permissions):
    assert await scopes(permissions, "token-a", "payments") == (Scope("payments", CREATED),)


async def test_all_that_is_asked_for_must_be_allowed(permissions):
    assert await scopes(permissions, "token-a", "payments", "shop") is None
    assert await scopes(permissions, "token-a", "shop") is None
    assert await scopes(permissions, "token-a", "") is None


async def test_whoever_may_read_everywhere_reads_what_was_before_and_what_has_no_namespace(permissions, judge):
    judge.may |= {("a", ""), ("a", "gone")}
    assert await scopes(permissions, "token-a", "", "payments", "gone") == (Scope(""), Scope("payments"), Scope("gone"))


async def test_a_namespace_that_is_gone_is_nobodys(permissions, judge):
    del judge.namespaces["payments"]
    assert await scopes(permissions, "token-a", "payments") is None


async def test_what_is_remembered_is_forgotten_in_time(permissions, judge, clock):
    assert await scopes(permissions, "token-a", "payments")
    judge.may.clear()
    judge.callers.clear()
    clock.now = REMEMBERED_SECONDS - 0.1
    assert await scopes(permissions, "token-a", "payments")
    clock.now = REMEMBERED_SECONDS
    assert await permissions.who("token-a") is None


async def test_a_right_in_a_namespace_is_none_in_another_of_its_name(permissions, judge):
    assert await scopes(permissions, "token-a", "payments")
    judge.may.clear()
    judge.namespaces["payments"] = Existing("another", CREATED)
    assert await scopes(permissions, "token-a", "payments") is None


async def test_tokens_are_not_remembered_without_end(permissions, judge):
    for number in range(20):
        assert await permissions.who(f"token-{number}") is None
    assert len(permissions._refused._held) == 3
    assert len(judge.asked) == 20


async def test_bad_tokens_push_nobody_out_who_is_known(permissions, judge):
    await permissions.who("token-a")
    for number in range(20):
        await permissions.who(f"bad-{number}")
        assert await permissions.who(f"bad-{number}") is None
    assert permissions.remembered("token-a")
    assert len(judge.asked) == 21


async def test_nobody_reads_with_the_right_of_another_namespace_that_had_the_name_a_moment_ago(permissions, judge):
    """`b` makes it anew, and gives themselves the right, after it was looked at and before the right was."""
    judge.may.clear()

    async def may_read(_caller, namespace):
        if namespace:
            judge.namespaces["payments"] = Existing("another", CREATED + timedelta(days=1))
        return bool(namespace)

    judge.may_read = may_read
    assert await scopes(permissions, "token-b", "payments") is None
    assert await scopes(permissions, "token-b", "payments") == (Scope("payments", CREATED + timedelta(days=1)),)


async def test_a_refusal_is_cheap(permissions, judge):
    paid = []
    caller = await permissions.who("token-b")
    judge.asked.clear()
    names = ["shop", *(f"n{number}" for number in range(31))]
    assert await permissions.scopes(caller, names, lambda: paid.append(1)) is None
    assert judge.asked == [("b", ""), ("b", "shop"), ("b", "n0")]
    assert len(paid) == 1


def test_a_caller_has_a_share_of_requests_at_once():
    load = Load(most=3, most_of_one=2)
    with load.request(), load.of("a"), load.request(), load.of("a"), load.request():
        with pytest.raises(Refused, match="of yours at once"), load.of("a"):
            pass
        with load.of("b"), pytest.raises(Refused, match="at once"), load.request():
            pass
    assert load.requests == 0
    assert not load._of_one


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("jane", "jane"),
        ("system:serviceaccount:payments:a", "system:serviceaccount:payments:"),
        ("system:serviceaccount:payments:", "system:serviceaccount:payments:"),
        ("system:node:a", "system:node:a"),
    ],
)
def test_the_service_accounts_of_a_namespace_have_one_share(name, whose):
    assert share(name) == whose


def test_the_service_accounts_of_a_namespace_have_more_requests_at_once_than_one_user():
    load = Load(most_of_one=1, most_of_many=2)
    many = share("system:serviceaccount:payments:a")
    with load.of(many), load.of(many), pytest.raises(Refused, match="service accounts at once"), load.of(many):
        pass


def test_what_waits_to_be_sent_is_bounded():
    load = Load(most_bytes=10)
    load.take(10)
    with pytest.raises(Refused):
        load.take(1)
    load.give_back(10)
    load.take(1)


def test_strangers_have_a_share_of_all_requests():
    load = Load(most=4, most_of_strangers=1)
    with (
        load.request(),
        load.stranger(),
        load.request(),
        load.of("known"),
        pytest.raises(Refused, match="not known yet"),
        load.stranger(),
    ):
        pass
    assert load.strangers == 0


def test_a_caller_has_a_share_of_namespaces_in_a_second(clock):
    load = Load(burst=3, per_second=2, now=clock)

    def taken(caller="a"):
        for number in itertools.count():
            try:
                load.spend(caller)
            except Refused:
                return number
        raise AssertionError

    assert (taken(), taken(), taken("b")) == (3, 0, 3)
    clock.now = 1.0
    assert taken() == 2
    clock.now = 100.0
    assert taken() == 3
