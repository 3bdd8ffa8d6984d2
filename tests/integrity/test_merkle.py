import hashlib

from hypothesis import given
from hypothesis import strategies as st

from audit_operator.integrity import merkle

LEAVES = st.lists(st.binary(min_size=32, max_size=32), max_size=70)


def by_definition(nodes):
    """MTH as RFC 6962, section 2.1 defines it, of leaves that are hashed already."""
    if not nodes:
        return hashlib.sha256(b"").digest()
    if len(nodes) == 1:
        return nodes[0]
    split = 1
    while split * 2 < len(nodes):
        split *= 2
    left, right = by_definition(nodes[:split]), by_definition(nodes[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@given(LEAVES)
def test_a_root_is_that_of_rfc_6962(nodes):
    assert merkle.root(nodes) == by_definition(nodes)


def test_known_answers_of_certificate_transparency():
    """Of the reference implementation's test vectors: the first two leaves are the empty string and 0x00."""
    leaves = [merkle.leaf_of(b""), merkle.leaf_of(b"\x00")]
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.root(leaves[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.root(leaves).hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"


@given(LEAVES, st.randoms(use_true_random=False))
def test_neither_order_nor_copies_change_the_root_of_a_set(leaves, random):
    again = [*leaves, *random.choices(leaves, k=5)] if leaves else []
    random.shuffle(again)
    assert merkle.root_of_set(again) == merkle.root_of_set(leaves)


@given(st.sets(st.binary(min_size=32, max_size=32), min_size=1, max_size=40), st.data())
def test_every_leaf_changes_the_root(leaves, data):
    without = leaves - {data.draw(st.sampled_from(sorted(leaves)))}
    assert merkle.root_of_set(without) != merkle.root_of_set(leaves)
