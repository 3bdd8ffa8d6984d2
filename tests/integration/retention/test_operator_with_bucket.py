"""The operator with its shipper, a real API server and a real bucket: from policies to folders, rules and status."""

from __future__ import annotations

import gzip
import json

from tests.integration.operator_process import MAIN, eventually, thing
from tests.integration.shipping.collector import binary
from tests.integration.shipping.seaweedfs import KEY, KEY_ID, seaweedfs

REFS = [{"kind": "ClusterAuditSink", "name": "central"}]
FOLDERS = {"payments": "cluster=main/class=max30d", "web": "cluster=main/class=min90d"}


def policy(namespace, **retention):
    spec = {"rules": [{"level": "Metadata"}], "sinkRefs": REFS, "retention": retention}
    return thing("AuditPolicy", "own", spec, namespace)


def lying(s3):
    """In which folders records of namespaces lie."""
    found = {}
    for each in s3.client.list_objects("audit", prefix="prod/", recursive=True):
        folder = each.object_name.removeprefix("prod/").removeprefix("sink=central/").partition("/2")[0]
        answer = s3.client.get_object("audit", each.object_name)
        for resource in json.loads(gzip.decompress(answer.read(decode_content=False)))["resourceLogs"]:
            for record in resource["scopeLogs"][0]["logRecords"]:
                values = {one["key"]: one["value"].get("stringValue") for one in record["attributes"]}
                found.setdefault(values.get("namespace"), set()).add(folder)
        answer.close()
    return found


def test_records_of_the_api_server_come_to_the_folder_of_their_class_and_its_rule_is_set(operator, tmp_path):
    with seaweedfs(tmp_path) as s3:
        s3.client.make_bucket("audit")
        literals = (f"--from-literal=accessKeyID={KEY_ID}", f"--from-literal=secretAccessKey={KEY}")
        operator.control_plane.kubectl("create", "secret", "generic", "keys", "-n", "audit-operator", *literals)
        keys = {"type": "AccessKey", "secretRef": {"namespace": "audit-operator", "name": "keys"}}
        section = {"bucket": "audit", "prefix": "prod/", "endpoint": s3.url, "pathStyle": True}
        operator.control_plane.apply(
            MAIN,
            thing("ClusterAuditSink", "central", {"type": "S3", "s3": section, "credentials": keys}),
            policy("payments", maximum="30d"),
            policy("web", minimum="90d"),
        )
        operator.start(collector=str(binary()), retention_seconds="1")

        def told():
            said = operator.status("clusterauditsinks", "central").get("retention", {}).get("folders", [])
            return {name: each["name"] for each in said for group in each["members"] for name in group["namespaces"]}

        eventually(lambda: told() == FOLDERS, "the folders to stand in the status")

        def rules():
            found = s3.client.get_bucket_lifecycle("audit")
            return {each.rule_filter.prefix: each.expiration.days for each in found.rules}

        eventually(lambda: rules() == {f"prod/sink=central/{FOLDERS['payments']}/": 30}, "the rule")

        def arrive():
            for namespace in FOLDERS:
                operator.control_plane.kubectl("get", "pods", "-n", namespace)
            found = lying(s3)
            return all(folder in found.get(namespace, ()) for namespace, folder in FOLDERS.items())

        eventually(arrive, "records in their folders")
        found = lying(s3)
        for namespace, folder in FOLDERS.items():
            others = {each for each in found[namespace] if each.startswith("cluster=")}
            assert others == {folder}
        status = eventually(
            lambda: operator.status("auditpolicies", "own", "web").get("retention"), "the policy's status"
        )
        assert (status[0]["class"], status[0]["state"]) == ("min90d", "Enforced")
