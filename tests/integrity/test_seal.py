import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.integrity import seal as seals
from audit_operator.integrity.keys import KeyUnusableError, SigningKey, VerifyKey
from tests.integrity.sealed import KEY, seal_of


def test_a_seal_reads_back_as_it_was_made():
    made = seal_of(7)
    assert seals.decode(made.encode()) == made
    assert KEY.public.signed(made)


@given(st.data())
def test_no_byte_of_a_seal_can_be_changed(data):
    encoded = bytearray(seal_of(7).encode())
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    changed = seals.decode(bytes(encoded))
    assert changed is None or not KEY.public.signed(changed)


def test_the_same_meaning_in_other_bytes_is_no_seal():
    encoded = seal_of(7).encode()
    document = json.loads(encoded)
    assert seals.decode(json.dumps(document).encode()) is None
    assert seals.decode(encoded + b"\n") is None
    assert seals.decode(json.dumps({**document, "note": ""}, sort_keys=True, separators=(",", ":")).encode()) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"[" * 100_000, b"\xff", b'{"version":2}'])
def test_what_is_no_seal_is_none(content):
    assert seals.decode(content) is None


@pytest.mark.parametrize(
    "change",
    [
        {"root": "0" * 64},
        {"records": 3},
        {"until": "2026-11-28T10:00:00Z"},
        {"until": "2026-11-28T11:00:30Z"},
        {"since": "2026-11-28 10:00:00Z"},
        {"sealed_at": "yesterday"},
    ],
)
def test_a_seal_that_contradicts_itself_is_none_even_if_signed(change):
    assert seals.decode(KEY.sign(seal_of(7).model_copy(update=change)).encode()) is None


def test_keys_are_known_by_their_content():
    again = SigningKey.read(KEY.pem())
    assert again.public.id == KEY.public.id
    assert VerifyKey.read(KEY.public.pem()).signed(again.sign(seal_of(7)))
    assert SigningKey.make().public.id != KEY.public.id


def test_a_key_is_shown_nowhere():
    assert repr(KEY) == "SigningKey()"


@pytest.mark.parametrize("read", [SigningKey.read, VerifyKey.read])
@pytest.mark.parametrize("pem", [b"", b"s3cret", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused_without_repeating_it(read, pem):
    with pytest.raises(KeyUnusableError) as refused:
        read(pem)
    assert "s3cret" not in str(refused.value)
