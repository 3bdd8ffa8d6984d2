"""Whose an object is decides about it, not its name: namespaces belong to others."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import aiohttp
import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.cluster.resources import CONFIG_MAP, SECRET
from audit_operator.cluster.rest import RestClient
from audit_operator.controller.sidecar_objects import (
    COMPONENT,
    COMPONENT_LABEL,
    HAS_SECRET,
    NameTakenError,
    SidecarObjects,
    SidecarObjectsError,
)
from audit_operator.plan.application_logs import ApplicationFiles
from tests.cluster.fake_api_server import Fault, fake_api_server
from tests.shipping.injection.pods import model, policy

PCI = ObjectRef("AuditPolicy", "pci", "payments")
FILES = ApplicationFiles("config", "digest", (), {}, {}, pseudonyms=False, findings=())
WITH_SECRET = replace(FILES, credentials={"own/4b/authorization": b"Bearer x"})
PSEUDONYMS = replace(FILES, pseudonyms=True)
LABEL = {COMPONENT_LABEL: COMPONENT}


def made(name="pci", namespace="payments", uid="uid-of-the-policy"):
    document = policy(name, namespace)
    return model({**document, "metadata": {**document["metadata"], "uid": uid}})


def owned(name="pci", kind="AuditPolicy", uid="uid-of-the-policy", group="audit-operator.dev/v1alpha1"):
    return {"ownerReferences": [{"apiVersion": group, "kind": kind, "name": name, "uid": uid, "controller": True}]}


@pytest.fixture
async def api():
    async with fake_api_server() as server:
        yield server


@pytest.fixture
async def objects(api):
    async with aiohttp.ClientSession(api.url) as session:
        yield SidecarObjects(RestClient(session, attempts=1), "audit-operator", "audit-operator")


def there(api, resource, name="audit-shipper-pci", namespace="payments"):
    return api.get(resource, name, namespace)


def pseudonym_key(document):
    return json.loads(base64.b64decode(document["data"]["sidecar.json"]))["environment"]


async def test_what_is_written_is_written_once_and_goes_with_its_secret(api, objects):
    await objects.look()
    await objects.bring(made(), WITH_SECRET)
    assert there(api, CONFIG_MAP)["data"] == {"config.yaml": "config"}
    assert there(api, SECRET)["metadata"]["ownerReferences"][0]["uid"] == "uid-of-the-policy"
    writes = len(api.writes())
    await objects.bring(made(), WITH_SECRET)
    assert len(api.writes()) == writes
    assert await objects.keep_only([PCI]) == {}
    assert there(api, CONFIG_MAP)
    assert await objects.keep_only([]) == {}
    assert (there(api, CONFIG_MAP), there(api, SECRET)) == (None, None)


@pytest.mark.parametrize("resource", [CONFIG_MAP, SECRET])
@pytest.mark.parametrize(
    "metadata",
    [
        {},
        owned(kind="Deployment", group="apps/v1"),
        owned("another"),
        owned(group="audit-operator.example/v1"),
        {"ownerReferences": [{**owned()["ownerReferences"][0], "controller": False}]},
    ],
    ids=["nobody's", "another kind's", "another policy's", "another group's", "no controller's"],
)
async def test_an_object_of_somebody_else_is_neither_written_nor_adopted_nor_deleted(api, objects, resource, metadata):
    found = api.put(resource, "audit-shipper-pci", "payments", metadata={**metadata, "labels": LABEL}, data={"a": "b"})
    await objects.look()
    with pytest.raises(NameTakenError, match=f"{resource.kind} payments/audit-shipper-pci"):
        await objects.bring(made(), WITH_SECRET)
    assert await objects.keep_only([]) == {}
    assert there(api, resource) == found
    assert api.writes() == []


async def test_somebodys_own_secret_stays_when_our_config_map_claims_to_have_one(api, objects):
    await objects.look()
    await objects.bring(made(), FILES)
    api.put(SECRET, "audit-shipper-pci", "payments", data={"password": "x"})
    annotations = {**there(api, CONFIG_MAP)["metadata"]["annotations"], HAS_SECRET: "true"}
    api.put(
        CONFIG_MAP, "audit-shipper-pci", "payments", metadata={**owned(), "labels": LABEL, "annotations": annotations}
    )
    await objects.look()
    await objects.bring(made(), FILES)
    assert await objects.keep_only([]) == {}
    assert there(api, CONFIG_MAP) is None
    assert there(api, SECRET)["data"] == {"password": "x"}


async def test_a_policy_made_anew_takes_over_what_the_former_one_of_its_name_had(api, objects):
    await objects.look()
    await objects.bring(made(), PSEUDONYMS)
    before = pseudonym_key(there(api, SECRET))
    await objects.bring(made(uid="another"), PSEUDONYMS)
    assert there(api, CONFIG_MAP)["metadata"]["ownerReferences"][0]["uid"] == "another"
    assert pseudonym_key(there(api, SECRET)) == before


async def test_nothing_is_touched_in_the_operators_own_namespace(api, objects):
    # The instructions of shippers for a control plane called main, after a policy of that name had taken them over.
    found = [
        api.put(
            each,
            "audit-shipper-main",
            "audit-operator",
            metadata={**owned("main"), "labels": LABEL, "annotations": {HAS_SECRET: "true"}},
        )
        for each in (CONFIG_MAP, SECRET)
    ]
    await objects.look()
    assert await objects.keep_only([]) == {}
    assert [there(api, each, "audit-shipper-main", "audit-operator") for each in (CONFIG_MAP, SECRET)] == found
    assert api.writes() == []


async def test_one_namespace_in_which_nothing_can_be_deleted_hinders_no_other(api, objects):
    await objects.look()
    for namespace in ("a", "payments"):
        await objects.bring(made(namespace=namespace), WITH_SECRET)
    api.faults.append(Fault("GET", "namespaces/a/secrets", times=99, status=403))
    failed = await objects.keep_only([])
    assert {ref: type(error) for ref, error in failed.items()} == {replace(PCI, namespace="a"): SidecarObjectsError}
    assert there(api, CONFIG_MAP) is None
    api.faults.clear()
    assert await objects.keep_only([]) == {}
    assert there(api, CONFIG_MAP, namespace="a") is None


async def test_to_which_sinks_a_configuration_writes_is_known_after_a_restart(api, objects):
    own, other = (ObjectRef("AuditSink", name, "payments") for name in ("own", "other"))
    await objects.bring(made(), replace(FILES, sinks={own: "a", other: "b"}))
    await objects.look()
    assert objects.knows(PCI)
    assert not objects.knows(replace(PCI, name="another"))
    assert objects.writes_only_to(PCI, [own, other])
    assert not objects.writes_only_to(PCI, [own])
    assert not objects.writes_only_to(replace(PCI, name="another"), [own])
    writes = len(api.writes())
    await objects.bring(made(), replace(FILES, sinks={own: "a", other: "b"}))
    assert len(api.writes()) == writes


async def test_a_key_that_stays_alone_is_the_same_when_a_sink_is_back(api, objects):
    await objects.bring(made(), replace(PSEUDONYMS, credentials=WITH_SECRET.credentials))
    before = pseudonym_key(there(api, SECRET))
    await objects.bring(made(), replace(PSEUDONYMS, config="", digest=""))
    content = json.loads(base64.b64decode(there(api, SECRET)["data"]["sidecar.json"]))
    assert content == {"files": {}, "environment": before}
    assert there(api, CONFIG_MAP)["data"] == {"config.yaml": ""}
    await objects.bring(made(), PSEUDONYMS)
    assert pseudonym_key(there(api, SECRET)) == before


async def test_sidecars_listen_where_they_are_asked_and_nowhere_else(api, objects):
    await objects.look()
    objects.asks = True
    await objects.bring(made(), FILES)
    assert json.loads(there(api, CONFIG_MAP)["data"]["figures.json"]) == {"policy": "payments/pci"}
    # What has no configuration counts nothing.
    await objects.bring(made(), replace(FILES, config=""))
    assert there(api, CONFIG_MAP)["data"] == {"config.yaml": ""}
    await objects.bring(made(), FILES)
    objects.asks = False
    await objects.bring(made(), FILES)
    assert there(api, CONFIG_MAP)["data"] == {"config.yaml": "config"}
