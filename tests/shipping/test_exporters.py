import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from audit_operator.api.sink import AuditSinkSpec, ClusterAuditSinkSpec, CredentialType
from audit_operator.shipping.collector.attributes import SHIPPED
from audit_operator.shipping.exporters import (
    ATTRIBUTES_BUDGET,
    AUDIT_ID,
    CLUSTER,
    NAMESPACE,
    STAGE,
    CredentialFiles,
    Exporter,
    Room,
    Unusable,
    access_key,
    authorization,
    exporter,
    largest_event,
)

ROOM = Room("file_storage/queues", folder="/var/audit")
NO_FILES = CredentialFiles()
ALL_FILES = CredentialFiles("/c/authorization", "/c/ca.crt", "/c/tls.crt", "/c/tls.key")

VICTORIA = {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://victoria:9428/"}}
LOKI = {"type": "Loki", "loki": {"url": "https://loki/base", "tenant": "audit"}}
OTLP = {"type": "OTLP", "otlp": {"endpoint": "http://collector:4318"}}
GRPC = {"type": "OTLP", "otlp": {"endpoint": "http://collector:4317", "protocol": "GRPC"}}
S3 = {"type": "S3", "s3": {"bucket": "audit"}}
OPEN_SEARCH = {"type": "OpenSearch", "openSearch": {"url": "http://search:9200"}}
ELASTICSEARCH = {"type": "Elasticsearch", "elasticsearch": {"url": "http://search:9200"}}
FILE = {"type": "File", "file": {"claimName": "audit"}}
AT_ONCE = [VICTORIA, LOKI, OTLP, GRPC, OPEN_SEARCH, ELASTICSEARCH, FILE]
QUEUED = [*AT_ONCE, S3]
OF_TENANTS = [each for each in QUEUED if each is not FILE]
BEST_EFFORT = {"delivery": {"guarantee": "BestEffort"}}
BEARER = {"credentials": {"type": "Bearer", "secretRef": {"name": "s"}}}


def sink(spec, *, tenants=False, **more):
    cls = AuditSinkSpec if tenants else ClusterAuditSinkSpec
    if not tenants:
        more = {key: in_namespace(value) for key, value in more.items()}
    return cls.model_validate_json(json.dumps({**spec, **more}))


def in_namespace(value):
    """A cluster-wide sink says in which namespace a Secret is."""
    if not isinstance(value, dict):
        return value
    named = {key: in_namespace(each) for key, each in value.items()}
    return {"namespace": "audit", **named} if set(named) == {"name"} else named


def made(spec, files=NO_FILES, **more):
    result = exporter(sink(spec, **more), "central", files, ROOM)
    assert isinstance(result, Exporter), result
    return result


def leaves(value, path=""):
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, f"{path}.{key}")
    else:
        yield path, value


@pytest.mark.parametrize("spec", QUEUED)
def test_at_least_once_waits_on_disk_and_gives_up_nothing(spec):
    config = made(spec).config
    queue = config["sending_queue"]
    assert (queue["storage"], queue["block_on_overflow"], queue["sizer"]) == ("file_storage/queues", True, "bytes")
    assert queue["queue_size"] > 16 * queue["batch"]["max_size"]
    assert config["retry_on_failure"]["max_elapsed_time"] == "0s"
    assert not made(spec).detached


@pytest.mark.parametrize("spec", OF_TENANTS)
def test_a_tenants_sink_waits_on_disk_for_as_long_as_there_is_room_and_holds_up_nobody(spec):
    result = made(spec, tenants=True)
    queue = result.config["sending_queue"]
    assert (queue["storage"], queue["block_on_overflow"], queue["queue_size"]) == ("file_storage/queues", False, 2**28)
    assert result.config["retry_on_failure"]["max_elapsed_time"] == "0s"
    assert result.detached


@pytest.mark.parametrize("spec", QUEUED)
def test_best_effort_waits_in_memory_for_a_time_and_holds_up_nobody(spec):
    config = made(spec, **BEST_EFFORT).config
    assert "storage" not in config["sending_queue"]
    assert not config["sending_queue"]["block_on_overflow"]
    assert config["retry_on_failure"]["max_elapsed_time"] == "60s"
    assert made(spec, **BEST_EFFORT).detached


@pytest.mark.parametrize("spec", QUEUED)
def test_the_largest_event_fits_into_one_batch_with_its_attributes(spec):
    batch = made(spec).config["sending_queue"]["batch"]
    assert batch["sizer"] == "bytes"
    assert largest_event(sink(spec)) + ATTRIBUTES_BUDGET <= batch["max_size"]
    assert made(spec).largest == largest_event(sink(spec))


@pytest.mark.parametrize("spec", AT_ONCE)
def test_little_is_handed_out_by_the_queue_at_a_time(spec):
    queue = made(spec).config["sending_queue"]
    assert queue["batch"]["min_size"] == 0
    assert queue["num_consumers"] <= 2


def test_victoria_logs_is_told_tenant_and_streams():
    spec = {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://v/p/", "accountID": 7, "projectID": 4294967295}}
    result = made(spec)
    assert result.id == "otlp_http/central"
    assert result.config["logs_endpoint"] == "http://v/p/insert/opentelemetry/v1/logs"
    assert result.config["headers"] == {
        "AccountID": "7",
        "ProjectID": "4294967295",
        "VL-Stream-Fields": "cluster,namespace",
    }


def test_loki_is_told_its_tenant_where_there_is_one():
    assert made(LOKI).config["logs_endpoint"] == "https://loki/base/otlp/v1/logs"
    assert made(LOKI).config["headers"] == {"X-Scope-OrgID": "audit"}
    assert "headers" not in made({"type": "Loki", "loki": {"url": "http://loki"}}).config


def test_otlp_goes_where_the_protocol_says():
    assert made(OTLP).config["logs_endpoint"] == "http://collector:4318/v1/logs"


@pytest.mark.parametrize("kind", ["openSearch", "elasticsearch"])
def test_documents_go_to_the_index_that_is_named(kind):
    spec = {"type": kind[0].upper() + kind[1:], kind: {"url": "https://search:9200/base/", "index": "audit-x"}}
    result = made(spec, ALL_FILES, **BEARER)
    assert result.id == "search_bulk/central"
    assert (result.config["endpoint"], result.config["index"]) == ("https://search:9200/base/", "audit-x")
    assert json.loads(result.config["new_index"])["mappings"]["date_detection"] is False
    assert result.config["headers"]["Authorization"] == "${file:/c/authorization}"


def test_files_are_written_to_the_claim():
    result = made(FILE)
    assert result.id == "dated_files/central"
    assert result.config["directory"] == "/var/audit"


def test_a_bucket_gets_few_large_objects_with_everything_that_a_record_carries():
    bucket = {"bucket": "audit", "prefix": "prod/", "endpoint": "http://s3:8333", "pathStyle": True}
    result = made({"type": "S3", "s3": bucket})
    uploader = result.config["s3uploader"]
    assert result.id == "awss3/central"
    assert (uploader["s3_bucket"], uploader["s3_base_prefix"]) == ("audit", "prod")
    assert (uploader["endpoint"], uploader["s3_force_path_style"]) == ("http://s3:8333", True)
    assert result.config["marshaler"] == "otlp_json"
    assert result.config["sending_queue"]["batch"]["min_size"] > 2**20
    assert "s3_base_prefix" not in made(S3).config["s3uploader"]
    assert "resource_attrs_to_s3" not in result.config


def test_a_bucket_whose_store_is_to_be_recognised_in_a_way_that_the_collector_cannot_is_not_written_to():
    result = exporter(sink(S3, tls={"caSecretRef": {"name": "a"}}), "central", ALL_FILES, ROOM)
    assert isinstance(result, Unusable)
    assert "spec.tls" in result.mend


def test_a_bucket_takes_access_keys_and_no_other_credentials():
    keys = {"credentials": {"type": "AccessKey", "secretRef": {"name": "s"}}}
    assert isinstance(exporter(sink(S3, **BEARER), "central", ALL_FILES, ROOM), Unusable)
    assert isinstance(exporter(sink(S3, **keys), "central", NO_FILES, ROOM), Unusable)
    made(S3, CredentialFiles(access_key="/c/aws"), **keys)


@pytest.mark.parametrize("part", [b"", b"a b", b"a\nrole_arn = x", b"$(x)"])
def test_an_access_key_is_a_file_of_the_form_that_the_exporter_reads_or_none(part):
    assert access_key({"accessKeyID": b"AKIA1", "secretAccessKey": b"k/+=\n"}) == (
        "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = k/+=\n"
    )
    assert isinstance(access_key({"accessKeyID": b"AKIA1", "secretAccessKey": part}), Unusable)
    assert isinstance(access_key({"accessKeyID": part, "secretAccessKey": b"k"}), Unusable)


@pytest.mark.parametrize("host", ["unix", "collector.audit", "[::1]", "127.0.0.1"])
def test_over_grpc_a_host_is_a_name_for_dns_and_never_a_scheme_of_grpcs_own(host):
    result = made({"type": "OTLP", "otlp": {"endpoint": f"http://{host}:4317/", "protocol": "GRPC"}})
    assert result.id == "otlp_grpc/central"
    assert result.config["endpoint"] == f"dns:///{host}:4317"


def test_over_grpc_the_scheme_says_whether_there_is_tls():
    assert made(GRPC).config["tls"] == {"insecure": True}
    secure = {**GRPC, "otlp": {**GRPC["otlp"], "endpoint": "https://collector:4317"}}
    assert made(secure).config["tls"] == {}
    config = made(secure, ALL_FILES, tls={"caSecretRef": {"name": "a"}}, **BEARER).config
    assert config["tls"]["ca_file"] == "/c/ca.crt"
    assert "insecure" not in config["tls"]
    assert config["headers"] == {"Authorization": "${file:/c/authorization}"}


@pytest.mark.parametrize("endpoint", ["http://collector", "https://collector:4317/v1/logs"])
def test_over_grpc_an_address_has_a_port_and_no_path(endpoint):
    spec = {"type": "OTLP", "otlp": {"endpoint": endpoint, "protocol": "GRPC"}}
    refused = exporter(sink(spec), "central", NO_FILES, ROOM)
    assert isinstance(refused, Unusable)
    assert "port" in refused.message


def test_secrets_and_certificates_are_read_from_files_and_always_verified():
    tls = {"caSecretRef": {"name": "a"}, "clientSecretRef": {"name": "b"}, "serverName": "loki.internal"}
    config = made(LOKI, ALL_FILES, tls=tls, **BEARER).config
    assert config["headers"]["Authorization"] == "${file:/c/authorization}"
    assert config["tls"] == {
        "ca_file": "/c/ca.crt",
        "cert_file": "/c/tls.crt",
        "key_file": "/c/tls.key",
        "reload_interval": "1m",
        "server_name_override": "loki.internal",
    }
    assert "insecure" not in json.dumps(config)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (BEARER, "credentials"),
        ({"tls": {"caSecretRef": {"name": "a"}}}, "tls.caSecretRef"),
        ({"tls": {"clientSecretRef": {"name": "a"}}}, "tls.clientSecretRef"),
    ],
)
def test_a_sink_whose_secret_is_not_there_is_not_written_to_without_it(more, said):
    result = exporter(sink(LOKI, **more), "central", NO_FILES, ROOM)
    assert isinstance(result, Unusable)
    assert said in result.message


def test_credentials_that_no_store_of_the_type_takes_are_refused():
    keys = {"credentials": {"type": "AccessKey", "secretRef": {"name": "s"}}}
    assert isinstance(exporter(sink(VICTORIA, **keys), "central", ALL_FILES, ROOM), Unusable)
    basic = {"credentials": {"type": "Basic", "secretRef": {"namespace": "n", "name": "s"}}}
    assert isinstance(exporter(sink(FILE, **basic), "central", ALL_FILES, ROOM), Unusable)


@given(
    st.from_regex(
        r"https?://([A-Za-z0-9._-]{1,40}|\[[0-9A-Fa-f:.]{1,40}\])(:[0-9]{1,4})?(/([A-Za-z0-9._~/-]|%[0-9A-F]{2}){0,40})?",
        fullmatch=True,
    )
)
def test_no_address_holds_what_the_collector_would_expand(url):
    for spec in (
        {**VICTORIA, "victoriaLogs": {"url": url}},
        {**OPEN_SEARCH, "openSearch": {"url": url}},
        {**GRPC, "otlp": {**GRPC["otlp"], "endpoint": url}},
    ):
        result = exporter(sink(spec), "central", NO_FILES, ROOM)
        config = result.config if isinstance(result, Exporter) else {}
        assert not [path for path, value in leaves(config) if "$" in str(value)]


@given(
    st.binary(max_size=40), st.binary(max_size=40), st.sampled_from(["", "${file:/c/other/authorization}", "$$", "\n"])
)
def test_no_secret_makes_a_header_that_collector_or_http_gives_a_meaning_to(first, second, hostile):
    secret = {"token": first + hostile.encode(), "username": first, "password": second + hostile.encode()}
    for kind in (CredentialType.BEARER, CredentialType.BASIC):
        value = authorization(kind, secret)
        assert isinstance(value, Unusable) or re.fullmatch(r"(Bearer|Basic) [A-Za-z0-9._~+/=-]+", value)


def test_headers_are_what_http_asks_for():
    assert authorization(CredentialType.BEARER, {"token": b"abc.def\n"}) == "Bearer abc.def"
    assert authorization(CredentialType.BASIC, {"username": b"me", "password": b"p:\xc3\xa4"}) == "Basic bWU6cDrDpA=="


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        (CredentialType.BEARER, {}),
        (CredentialType.BEARER, {"token": b"s3cret with space"}),
        (CredentialType.BASIC, {"username": b"s3cret:a", "password": b""}),
        (CredentialType.BASIC, {"username": b"s3cret"}),
        (CredentialType.ACCESS_KEY, {"accessKeyID": b"s3cret"}),
    ],
)
def test_a_refused_secret_is_not_repeated(kind, secret):
    refused = authorization(kind, secret)
    assert isinstance(refused, Unusable)
    assert "s3cret" not in f"{refused}"


def test_records_are_found_by_attributes_that_are_shipped():
    assert {AUDIT_ID, STAGE, CLUSTER, NAMESPACE} <= set(SHIPPED)


@pytest.mark.parametrize(
    "url",
    [
        "http://x:y",
        "http://[",
        "http://[::1",
        "http://[x]",
        "http://a/%zz",
        "http://a:99999",
        "http://:1",
        "http://a:b:c",
    ],
)
def test_an_address_that_the_collector_cannot_read_is_no_address_of_a_sink(url):
    with pytest.raises(ValidationError, match="must be an http or https URL"):
        sink({**VICTORIA, "victoriaLogs": {"url": url}})


@pytest.mark.parametrize("url", ["http://[::1::]", "http://[.]:80", "http://[1]"])
def test_what_only_looks_like_an_address_is_left_out_since_the_collector_would_refuse_all_others_with_it(url):
    assert isinstance(exporter(sink({**OPEN_SEARCH, "openSearch": {"url": url}}), "central", NO_FILES, ROOM), Unusable)
    spec = {**VICTORIA, "victoriaLogs": {"url": url}}
    assert isinstance(exporter(sink(spec), "central", NO_FILES, ROOM), Unusable)


@pytest.mark.parametrize("url", ["http://a", "https://a.b:443/c/", "http://[::1]:9428", "http://127.0.0.1:1/%41"])
def test_an_address_that_can_be_read_is_used(url):
    made({**VICTORIA, "victoriaLogs": {"url": url}})
