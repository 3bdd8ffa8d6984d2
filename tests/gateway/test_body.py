"""Bodies: packed or not, as a whole or in pieces, never more than is allowed."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.gateway.body import Refused, read
from audit_operator.gateway.load import Load, Overloaded

MIB = 2**20


async def in_pieces(content, size):
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def taken(content, encoding="", *, size=7, most=MIB, room=8 * MIB):
    load = Load(most_bytes=room)
    with load.request() as share:
        body = await read(in_pieces(content, size), encoding, most, share)
        assert load.bytes == len(body)
    assert (load.requests, load.bytes) == (0, 0)
    return body


@given(st.binary(max_size=300), st.integers(1, 50))
async def test_a_body_is_what_was_sent_in_whichever_pieces(content, size):
    assert await taken(content, size=size) == content
    assert await taken(gzip.compress(content), "gzip", size=size) == content


def packed(content):
    """The same each time, without the moment: what is tested makes the names of tests."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize("encoding", ["identity", " GZIP ", "gzip"])
async def test_encodings_are_recognised_however_they_are_spelled(encoding):
    content = b"{}" if encoding == "identity" else gzip.compress(b"{}")
    assert await taken(content, encoding) == b"{}"


@pytest.mark.parametrize(
    ("content", "encoding", "status"),
    [
        (b"x" * 101, "", 413),
        (packed(b"x" * 101), "gzip", 413),
        (packed(b"\0" * 50 * MIB), "gzip", 413),
        (b"x", "gzip", 400),
        (packed(b"x")[:-1], "gzip", 400),
        (packed(b"x") + b"y", "gzip", 400),
        (packed(b"x") * 2, "gzip", 400),
        (b"", "gzip", 400),
        (b"x", "zstd", 415),
    ],
)
async def test_what_is_too_large_or_not_encoded_as_it_says_is_refused(content, encoding, status):
    with pytest.raises(Refused) as refused:
        await taken(content, encoding, most=100, size=64 * 1024)
    assert refused.value.status == status


async def test_what_there_is_no_room_for_is_told_to_come_again():
    with pytest.raises(Overloaded):
        await taken(b"x" * 101, room=100)


def test_there_are_no_more_requests_at_once_than_may_be():
    load = Load(most_requests=1)
    with load.request():
        with pytest.raises(Overloaded), load.request():
            pass
        assert load.requests == 1
    with load.request():
        assert load.requests == 1
