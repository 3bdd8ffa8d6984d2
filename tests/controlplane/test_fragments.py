"""Fragments for other tools: the text that they get, and that it holds, or names, the very policy.

The golden files in fragments/ show each one; after a change, `WRITE_GOLDEN=1 pytest` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from audit_operator.api.control_plane import Log, LogMode, LogTruncation
from audit_operator.api.observations import DesiredPolicy, policy_digest
from audit_operator.controlplane.fragments import Platform, render_fragment
from audit_operator.controlplane.fragments.talos import without_aliases
from audit_operator.controlplane.static_pod.audit_flags import LogSettings
from audit_operator.policy.loading import load_policy
from audit_operator.policy.model import GroupResources, Policy, Rule
from audit_operator.policy.render import ANCHOR_FROM, render

GOLDEN = Path(__file__).parent / "fragments"
MANY = tuple(f"team-{number}" for number in range(ANCHOR_FROM))
POLICY = DesiredPolicy(
    render(
        Policy(
            (
                Rule("None", users=('quoted "name"',), verbs=("get",), namespaces=MANY),
                Rule("Request", resources=(GroupResources("", ("secrets",)),), namespaces=MANY),
                Rule("Metadata"),
            )
        )
    )
)
LOG = LogSettings.from_spec(
    Log(
        path="/var/log/audit/kube.log",
        max_age=60,
        max_backup=20,
        max_size=200,
        mode=LogMode.BLOCKING_STRICT,
        truncate=LogTruncation(max_event_size=2048),
    )
)
FLAGS = {
    "audit-log-path": "/var/log/audit/kube.log",
    "audit-log-maxage": "60",
    "audit-log-maxbackup": "20",
    "audit-log-maxsize": "200",
    "audit-log-mode": "blocking-strict",
    "audit-log-truncate-enabled": "true",
    "audit-log-truncate-max-event-size": "2048",
    "audit-log-truncate-max-batch-size": "10485760",
}


def documents(platform: Platform) -> list:
    return list(yaml.safe_load_all(render_fragment(platform, POLICY, LOG)))


def policy_file(platform: Platform) -> str:
    """The policy file that the API server is told to read."""
    match platform:
        case Platform.KUBEADM:
            return named(documents(platform)[0]["apiServer"]["extraArgs"])["audit-policy-file"]
        case Platform.K3S:
            return written(documents(platform)[0]["kube-apiserver-arg+"])["audit-policy-file"]
        case Platform.RKE2:
            return documents(platform)[0]["audit-policy-file"]
        case Platform.KOPS:
            return documents(platform)[0]["spec"]["kubeAPIServer"]["auditPolicyFile"]
        case _:
            configuration = documents(platform)[1]["spec"]["kubeadmConfigSpec"]["clusterConfiguration"]
            return named(configuration["apiServer"]["extraArgs"])["audit-policy-file"]


def named(arguments: list) -> dict:
    return {each["name"]: each["value"] for each in arguments}


def written(arguments: list) -> dict:
    return dict(each.split("=", 1) for each in arguments)


@pytest.mark.parametrize("platform", list(Platform))
def test_the_text_is_as_it_was_reviewed(platform):
    golden, text = GOLDEN / platform.key, render_fragment(platform, POLICY, LOG)
    if os.environ.get("WRITE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("platform", list(Platform))
def test_another_policy_is_another_configuration(platform):
    other = DesiredPolicy(POLICY.text.replace("Request", "RequestResponse"))
    bare = [yaml.safe_dump_all(yaml.safe_load_all(render_fragment(platform, each, LOG))) for each in (POLICY, other)]
    assert bare[0] != bare[1]


def test_where_the_platform_takes_the_policy_it_is_the_very_same():
    [kops] = documents(Platform.KOPS)
    [asset] = kops["spec"]["fileAssets"]
    config_map, shoot = documents(Platform.GARDENER)
    secret, kubeadm_control_plane = documents(Platform.CLUSTER_API)
    for text in (asset["content"], config_map["data"]["policy"], secret["stringData"]["policy.yaml"]):
        assert policy_digest(text) == POLICY.digest
    assert asset["path"] == kops["spec"]["kubeAPIServer"]["auditPolicyFile"]
    reference = shoot["spec"]["kubernetes"]["kubeAPIServer"]["auditConfig"]["auditPolicy"]["configMapRef"]
    assert reference["name"] == config_map["metadata"]["name"]
    [file] = kubeadm_control_plane["spec"]["kubeadmConfigSpec"]["files"]
    assert file["contentFrom"]["secret"] == {"name": secret["metadata"]["name"], "key": "policy.yaml"}
    assert file["path"] == policy_file(Platform.CLUSTER_API)


def test_talos_gets_a_policy_that_means_the_same_without_aliases():
    [talos] = documents(Platform.TALOS)
    given = yaml.safe_dump(talos["cluster"]["apiServer"]["auditPolicy"])
    assert load_policy(given).policy == load_policy(POLICY.text).policy
    assert "&ns1" in POLICY.text
    assert "*ns1" in POLICY.text
    text = without_aliases(POLICY.text)
    assert not {"&", "*"} & set(text)
    assert load_policy(text).policy == load_policy(POLICY.text).policy


@pytest.mark.parametrize("platform", [each for each in Platform if each not in (Platform.TALOS, Platform.GARDENER)])
def test_the_policy_file_is_named_by_its_digest(platform):
    assert policy_file(platform).endswith(f"/policy-{POLICY.digest}.yaml")


def test_the_log_settings_are_those_of_the_spec_as_far_as_the_platform_has_them():
    policy = {"audit-policy-file": policy_file(Platform.KUBEADM)}
    assert named(documents(Platform.KUBEADM)[0]["apiServer"]["extraArgs"]) == {**policy, **FLAGS}
    configuration = documents(Platform.CLUSTER_API)[1]["spec"]["kubeadmConfigSpec"]["clusterConfiguration"]
    assert named(configuration["apiServer"]["extraArgs"]) == {**policy, **FLAGS}
    policy = {"audit-policy-file": policy_file(Platform.K3S)}
    assert written(documents(Platform.K3S)[0]["kube-apiserver-arg+"]) == {**policy, **FLAGS}
    assert written(documents(Platform.RKE2)[0]["kube-apiserver-arg+"]) == FLAGS
    talos = documents(Platform.TALOS)[0]["cluster"]["apiServer"]["extraArgs"]
    assert talos == {name: value for name, value in FLAGS.items() if name != "audit-log-path"}
    kops = documents(Platform.KOPS)[0]["spec"]["kubeAPIServer"]
    assert (kops["auditLogPath"], kops["auditLogMaxAge"], kops["auditLogMaxBackups"], kops["auditLogMaxSize"]) == (
        "/var/log/audit/kube.log",
        60,
        20,
        200,
    )


@pytest.mark.parametrize("platform", [Platform.KUBEADM, Platform.CLUSTER_API])
def test_the_api_server_can_read_its_policy_and_write_its_log(platform):
    document = documents(platform)[-1]
    if platform is Platform.CLUSTER_API:
        document = document["spec"]["kubeadmConfigSpec"]["clusterConfiguration"]
    policies, logs = document["apiServer"]["extraVolumes"]
    assert (policies["mountPath"], policies["readOnly"]) == (policy_file(platform).rpartition("/")[0], True)
    assert (logs["mountPath"], logs["readOnly"]) == ("/var/log/audit", False)
