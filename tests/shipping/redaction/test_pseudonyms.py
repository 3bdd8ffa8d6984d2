"""One subject, one pseudonym, in one namespace; and no name left beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_operator.api.redaction import PseudonymizedField
from audit_operator.shipping.redaction.interpreter import apply
from audit_operator.shipping.redaction.pseudonyms import PseudonymKey, pseudonym
from tests.shipping.redaction.corpus import NOTHING, event, line_of

DEMAND = replace(NOTHING, pseudonymize=frozenset(PseudonymizedField))


KEY = PseudonymKey.of("key")


def pseudonymous(original, namespace="shop", key=KEY):
    return apply(original, DEMAND, namespace=namespace, key=key).event


def named(name="dora.smith@example.com", **fields):
    extra = {"x.io/mail": [name], "authentication.kubernetes.io/credential-id": ["7"]}
    return event(user={"username": name, "uid": "u-17", "groups": ["dev"], "extra": extra}, **fields)


def test_a_subject_keeps_its_pseudonym_within_a_namespace_and_with_a_key():
    first, second = pseudonymous(named())["user"], pseudonymous(named(verb="get"))["user"]
    assert first == second
    other = PseudonymKey.of("other")
    others = {pseudonym(KEY, "other", "a"), pseudonym(other, "shop", "a"), pseudonym(KEY, "shop", "b")}
    assert len({*others, pseudonym(KEY, "shop", "a")}) == 4


def test_a_pseudonym_names_its_key_and_is_recognised_as_one():
    first = pseudonymous(named())
    name = first["user"]["username"]
    assert name.split("-")[:2] == ["p", KEY.id]
    assert KEY.id != PseudonymKey.of("other").id
    assert pseudonymous(first)["user"]["username"] == name
    assert "key" not in repr(KEY).replace("PseudonymKey", "")


def test_nothing_but_the_pseudonym_tells_who_it_was():
    name = "dora.smith@example.com"
    original = named(
        name,
        annotations={"authorization.k8s.io/reason": f'RBAC: allowed by RoleBinding "x/y" of Role "x" to User "{name}"'},
        responseStatus={"code": 403, "message": f'pods is forbidden: User "{name}" cannot list resource "pods"'},
        responseObject={"kind": "Status", "message": f'User "{name}" cannot'},
        requestURI="/apis/user.openshift.io/v1/users/dora.smith%40example.com",
    )
    redacted = pseudonymous(original)
    assert "dora" not in line_of(redacted)
    who = redacted["user"]["username"]
    assert redacted["annotations"]["authorization.k8s.io/reason"].endswith(f'to User "{who}"')
    assert redacted["user"]["extra"] == {"authentication.kubernetes.io/credential-id": ["7"], "redacted": "[REDACTED]"}
    assert redacted["requestURI"] == "[REDACTED]"


def test_a_name_that_is_repeated_in_another_way_costs_the_whole_text():
    original = named("dora.smith", responseStatus={"code": 400, "message": "no quota for dora.smith"})
    assert pseudonymous(original)["responseStatus"]["message"] == "[REDACTED]"


def test_the_impersonated_are_persons_too():
    original = named("dora.smith", impersonatedUser={"username": "eve.jones", "groups": ["dev"]})
    assert "eve.jones" not in line_of(pseudonymous(original))


@pytest.mark.parametrize("name", ["system:admin", "system:serviceaccount:shop:web", "system:node:n1", ""])
def test_names_of_the_system_stay(name):
    assert pseudonymous(named(name))["user"] == named(name)["user"]


def test_addresses_get_pseudonyms_each():
    addresses = pseudonymous(event(sourceIPs=["10.0.0.1", "10.0.0.2", "10.0.0.1"]))["sourceIPs"]
    assert addresses[0] == addresses[2] == pseudonym(KEY, "shop", "10.0.0.1")
    assert len(set(addresses)) == 2


def test_of_many_addresses_the_one_that_the_sender_did_not_choose_is_kept():
    made_up = [f"192.0.2.{number}" for number in range(20)]
    addresses = pseudonymous(event(sourceIPs=[*made_up, "10.0.0.1"]))["sourceIPs"]
    assert addresses == ["[REDACTED]", pseudonym(KEY, "shop", "10.0.0.1")]


def test_without_a_key_there_are_no_pseudonyms():
    redacted = pseudonymous(named(), key=None)
    assert (redacted["user"]["username"], redacted["sourceIPs"]) == ("[REDACTED]", ["[REDACTED]"])
