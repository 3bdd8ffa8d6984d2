"""What is written into the ConfigMap, and what is said when something does not fit."""

from __future__ import annotations

import pytest

from audit_operator.api.observations import DesiredPolicy
from audit_operator.api.references import ConfigMapRef
from audit_operator.controlplane.configmap import LARGEST, ConfigMapDriver, content
from audit_operator.controlplane.fragments import Platform
from audit_operator.controlplane.static_pod.audit_flags import LogSettings

SMALL = DesiredPolicy("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n")


def of_size(size: int) -> DesiredPolicy:
    return DesiredPolicy(SMALL.text + "#" * (size - len(SMALL.text) - 1) + "\n")


class Store:
    """One ConfigMap, and how often it was written."""

    def __init__(self):
        self.data, self.writes = None, 0

    async def read(self, _namespace, _name):
        return self.data

    async def apply(self, _namespace, _name, data, _annotations):
        self.data, self.writes = dict(data), self.writes + 1


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def driver(store):
    return ConfigMapDriver(store, ConfigMapRef(namespace="audit", name="policy"), LogSettings())


async def test_policy_digest_and_every_fragment_are_written_once(driver, store):
    assert await driver.deliver(SMALL) == ()
    assert await driver.deliver(SMALL) == ()
    assert store.data.keys() == {"policy.yaml", "digest", *(each.key for each in Platform)}
    assert (store.data["policy.yaml"], store.data["digest"]) == (SMALL.text, SMALL.digest)
    assert store.writes == 1
    [seen] = await driver.observe()
    assert (seen.desired_digest, seen.running_digest, seen.notes) == (SMALL.digest, "", ())


async def test_a_fragment_without_room_is_left_out_and_said(driver, store):
    await driver.deliver(of_size(LARGEST // 3))
    [seen] = await driver.observe()
    assert seen.last_error == ""
    [note] = seen.notes
    assert note.id == "fragment-left-out"
    left_out = [each for each in Platform if each.key not in store.data]
    assert left_out == [Platform.KOPS, Platform.GARDENER, Platform.CLUSTER_API]
    assert note.message.endswith("kops, gardener, cluster-api")
    assert sum(map(len, store.data.values())) <= LARGEST


async def test_the_policy_goes_before_every_fragment(driver, store):
    large = of_size(LARGEST - 64)
    assert await driver.deliver(large) == ()
    assert store.data == {"policy.yaml": large.text, "digest": large.digest}


async def test_a_policy_that_is_too_large_leaves_what_is_there(driver, store):
    await driver.deliver(SMALL)
    [refusal] = await driver.deliver(of_size(LARGEST))
    assert refusal.id == "policy-too-large"
    assert store.data["digest"] == SMALL.digest


def test_other_log_settings_make_other_fragments():
    assert content(SMALL, LogSettings()).data != content(SMALL, LogSettings(max_age=90)).data
