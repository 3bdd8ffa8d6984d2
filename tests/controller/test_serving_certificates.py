from __future__ import annotations

import ssl
import tempfile
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.controller import serving_certificates
from audit_operator.controller.serving_certificates import (
    LIFETIME,
    Certificates,
    CertificatesError,
    ServingCertificate,
    issue,
    rotated,
)
from tests.examples import examples

NAMES = ("webhook.audit-operator.svc",)
START = datetime(2026, 1, 1, tzinfo=UTC)


def accepts(bundle: str, serving: ServingCertificate, name: str) -> bool:
    """Whether a client that trusts the bundle takes a server with this certificate: a handshake in memory."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(serving.certificate + serving.key)
        file.flush()
        server.load_cert_chain(file.name)
    client = ssl.create_default_context(cadata=bundle)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(6):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return True


def test_a_certificate_is_taken_under_its_names_by_who_trusts_its_authority_alone():
    mine, other = issue(NAMES, datetime.now(UTC)), issue(NAMES, datetime.now(UTC))
    assert accepts(mine.authority, mine, NAMES[0])
    assert accepts(mine.authority, mine, "127.0.0.1")
    assert not accepts(mine.authority, mine, "elsewhere.example")
    assert not accepts(other.authority, mine, NAMES[0])


def test_the_first_is_made_at_once_and_nothing_is_done_without_need():
    first = rotated(None, NAMES, START)
    assert rotated(first, NAMES, START + timedelta(days=1)) is first


def test_a_successor_is_trusted_before_it_is_served_with_and_the_former_after():
    first = rotated(None, NAMES, START)
    both = rotated(first, NAMES, START + timedelta(days=61))
    assert both.current == first.current
    assert both.successor is not None
    assert both.successor.authority in both.bundle
    assert rotated(both, NAMES, START + timedelta(days=61, minutes=30)) is both
    after = rotated(both, NAMES, START + timedelta(days=61, hours=2))
    assert after.current == both.successor
    assert first.current.authority in after.bundle


def test_a_certificate_that_has_run_out_is_replaced_at_once():
    first = rotated(None, NAMES, START)
    assert rotated(first, NAMES, START + LIFETIME).current != first.current


@pytest.fixture(scope="module")
def cheap():
    """Keys are dear; here only what follows what matters."""
    made = iter(range(10**6))

    def issue_cheaply(_names, now):
        return Plain(f"authority-{next(made)};", "", "", now)

    return issue_cheaply


class Plain(ServingCertificate):
    """One whose times are said and not read."""

    __slots__ = ("made",)

    def __init__(self, authority, certificate, key, made):
        super().__init__(authority, certificate, key)
        object.__setattr__(self, "made", made)

    @property
    def begins(self):
        return self.made

    @property
    def ends(self):
        return self.made + LIFETIME


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.integers(1, 40 * 24), min_size=1, max_size=60), st.integers(0, 1))
def test_whoever_looks_now_and_then_always_finds_trust(cheap, hours, lag):
    """A replica that serves with what it saw a look ago is trusted by an API server that is as late."""
    before, serving_certificates.issue = serving_certificates.issue, cheap
    try:
        now, seen = START, [rotated(None, NAMES, START)]
        for each in hours:
            now += timedelta(hours=each)
            seen.append(rotated(seen[-1], NAMES, now))
            late = seen[max(0, len(seen) - 1 - lag)]
            if late.current.ends > now:  # the leader was not away until it had run out
                assert late.current.authority in seen[-1].bundle
                assert seen[-1].current.authority in late.bundle or late.current.ends - timedelta(minutes=10) <= now
    finally:
        serving_certificates.issue = before


def test_they_are_read_back_as_they_were_stored_and_show_no_key():
    known = Certificates(issue(NAMES, START), issue(NAMES, START), "former")
    assert Certificates.from_data(known.to_data()) == known
    assert "PRIVATE" not in repr(known)
    with pytest.raises(CertificatesError):
        Certificates.from_data({**known.to_data(), "tls.crt": "nonsense"})
    with pytest.raises(CertificatesError):
        Certificates.from_data({})
