"""Keys differ by namespace and time, stay as long as they are not destroyed, and never come back once they were."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.shipping.redaction.key_tree import DEPTH, KeyTree
from audit_operator.shipping.redaction.keyring import (
    MOST_BYTES,
    MOST_SECRETS,
    RANDOM_BYTES,
    REGISTER_BYTES,
    Epoch,
    Keyring,
    KeyringUnusable,
)
from audit_operator.shipping.redaction.pseudonyms import pseudonym

NOW = datetime(2026, 11, 28, tzinfo=UTC)
NAMES = st.sampled_from(["", "payments", "shop", "web", "a", "b"])


def random(number, size=RANDOM_BYTES):
    return hashlib.shake_256(str(number).encode()).digest(size)


def ring(number=0):
    return Keyring.begun(NOW, random(number, RANDOM_BYTES + REGISTER_BYTES))


@given(st.lists(NAMES, unique=True), st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES))
def test_a_tree_loses_the_keys_that_are_destroyed_and_no_other(destroyed, seed):
    whole = tree = KeyTree.grown(seed)
    for each in destroyed:
        tree = tree.without(each)
        assert tree.without(each) == tree
    for name in ("", "payments", "shop", "web", "a", "b"):
        assert tree.key(name) == (None if name in destroyed else whole.key(name))
    assert len(tree.secrets) <= 1 + DEPTH * len(destroyed)


def test_nothing_that_is_left_of_a_tree_gives_a_key_that_was_destroyed():
    """Every secret on the way to it is gone, so that none above it is left to derive it from."""
    tree = KeyTree.grown(random(1)).without("payments")
    place = tree._place("payments")
    assert not any(place.startswith(each) for each in tree.secrets)
    assert sorted(len(each) for each in tree.secrets) == list(range(1, DEPTH + 1))


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("rotate"), st.none()),
        st.tuples(st.just("renew"), NAMES),
        st.tuples(st.just("destroy"), NAMES),
        st.tuples(st.just("read"), st.none()),
    ),
    max_size=12,
)


@given(OPERATIONS)
def test_a_destroyed_key_never_comes_back_whatever_happens_afterwards(operations):
    keyring, gone = ring(), set()
    for number, (what, name) in enumerate(operations, 1):
        before = {each: keyring.present.present(each) for each in ("", "payments", "shop")}
        match what:
            case "rotate":
                keyring = keyring.rotated(NOW, random(number))
                assert all(keyring.present.present(each) != key for each, key in before.items())
            case "renew":
                keyring = keyring.renewed([name])
            case "destroy":
                gone |= {each.secret for each in keyring.kept(name)}
                keyring = keyring.without([name], NOW, random(number))
            case "read":
                assert Keyring.decoded(keyring.encoded()) == keyring
        if name is not None:
            changed = {each for each, key in before.items() if keyring.present.present(each) != key}
            assert changed == {name} & before.keys()
        for each in ("", "payments", "shop", "web", "a", "b"):
            kept = [key.secret for key in keyring.kept(each)]
            assert gone.isdisjoint(kept)
            assert kept[-1] == keyring.present.present(each).secret
            assert len(set(kept)) == len(kept)


def test_old_keys_find_a_subject_until_they_are_forgotten():
    keyring = ring()
    for month in range(1, 5):
        keyring = keyring.rotated(NOW + timedelta(days=30 * month), random(month))
    names = {pseudonym(key, "shop", "dora") for key in keyring.kept("shop")}
    assert len(names) == 5
    left = keyring.without_ended_before(NOW + timedelta(days=75))
    assert [each.since.day for each in left.epochs] == [each.since.day for each in keyring.epochs[2:]]
    assert left.without_ended_before(NOW + timedelta(days=9999)).epochs == keyring.epochs[-1:]
    assert keyring.without_ended_before(NOW) is keyring


def test_no_two_namespaces_have_one_key_or_one_pseudonym():
    epoch, names = ring().present, [f"team-{number}" for number in range(500)]
    assert len({epoch.present(each).secret for each in names}) == 500
    assert len({pseudonym(epoch.present(each), each, "dora") for each in names}) == 500


def test_shippers_are_told_the_present_epoch_alone_in_letters_that_are_safe_anywhere():
    keyring = ring().rotated(NOW, random(7)).renewed(["shop"])
    told = Epoch.decoded(keyring.present.encoded())
    assert told.present("shop") == keyring.present.present("shop")
    assert keyring.kept("shop")[0] not in tuple(told.kept("shop"))
    assert set(keyring.present.encoded()) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")


def test_where_too_much_was_destroyed_a_whole_tree_takes_over():
    keyring = ring().without([f"n{number}" for number in range(200)], NOW, random(1))
    assert len(keyring.present.tree.secrets) <= MOST_SECRETS
    assert len(keyring.epochs) == 2
    assert not keyring.epochs[0].tree.key("0\nn7")
    assert keyring.kept("other")[0] == ring().present.present("other")


def test_all_keys_go_at_once_also_those_of_namespaces_that_nobody_knows():
    before = ring().rotated(NOW, bytes(RANDOM_BYTES))
    after = before.without_any(NOW, b"\x07" * RANDOM_BYTES)
    for each in ("", "web", "known-to-nobody"):
        assert {key.secret for key in after.kept(each)}.isdisjoint(key.secret for key in before.kept(each))
    assert after.register_key == before.register_key
    assert len(after.encoded()) < 1000


def test_what_an_erasure_may_leave_has_room_for_a_hundred_rotations():
    rotated = ring()
    for number in range(100):
        rotated = rotated.rotated(NOW, number.to_bytes(RANDOM_BYTES, "big"))
    assert len(rotated.encoded()) - len(ring().encoded()) < 2**20 - MOST_BYTES


@pytest.mark.parametrize("content", [b"", b"x", ring().encoded()[:-9], b"\x1f\x8b"])
def test_what_is_no_keyring_is_said_without_what_it_holds(content):
    with pytest.raises(KeyringUnusable) as raised:
        Keyring.decoded(content)
    assert str(raised.value) == ""
    for text in ("", "-", "abc", "e30="):
        with pytest.raises(KeyringUnusable):
            Epoch.decoded(text)


def test_keys_show_in_no_text():
    keyring = ring()
    for secret in (keyring.register_key, *keyring.present.tree.secrets.values(), keyring.present.tree.places):
        assert repr(secret) not in repr(keyring)
    assert keyring.present.present("shop").secret not in repr(keyring.present.present("shop"))
