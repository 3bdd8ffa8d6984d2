"""What is tried is the configuration itself, without its stores and its source."""

from __future__ import annotations

import json

from audit_operator.shipping.canary.rehearsed import rehearsed

CONFIGURATION = {
    "extensions": {"file_storage/queues": {"directory": "state", "fsync": True}},
    "receivers": {"file_log": {"include": ["/log/a.log"], "exclude": ["/log/*.gz"], "storage": "s"}, "otlp": {"x": 1}},
    "processors": {"transform": {}},
    "exporters": {
        "nop": {},
        "prometheus/detections": {"endpoint": "e"},
        "otlp_http/kept": {
            "logs_endpoint": "http://store",
            "headers": {"Authorization": "${file:secret}"},
            "sending_queue": {"storage": "file_storage/queues", "batch": {"flush_timeout": "30s", "max_size": 9}},
            "retry_on_failure": {"enabled": True},
        },
        "awss3/others": {"s3uploader": {}},
    },
    "service": {
        "extensions": ["file_storage/queues"],
        "pipelines": {
            "logs/a": {"exporters": ["otlp_http/kept", "awss3/others"]},
            "logs/b": {"exporters": ["awss3/others", "nop"]},
        },
    },
}


def test_stores_become_folders_with_the_same_queue_and_nothing_is_left_of_addresses_and_secrets():
    made = rehearsed(CONFIGURATION, {"otlp_http/kept"}, "/try")
    [folder] = made.folders.values()
    assert made.configuration["exporters"] == {
        "nop": {},
        "prometheus/detections": {"endpoint": "e"},
        "dated_files/otlp_http.kept": {
            "directory": folder,
            "sending_queue": {
                "storage": "file_storage/queues",
                "batch": {"flush_timeout": "50ms", "max_size": 9, "min_size": 0},
            },
            "retry_on_failure": {"enabled": True},
        },
    }
    assert "http://store" not in json.dumps(made.configuration)
    assert "secret" not in json.dumps(made.configuration)


def test_exporters_that_nothing_is_expected_of_cost_nothing():
    pipelines = rehearsed(CONFIGURATION, {"otlp_http/kept"}, "/try").configuration["service"]["pipelines"]
    assert pipelines["logs/a"]["exporters"] == ["dated_files/otlp_http.kept", "nop"]
    assert pipelines["logs/b"]["exporters"] == ["nop"]


def test_only_the_source_and_what_costs_time_is_changed_besides():
    made = rehearsed(CONFIGURATION, (), "/try").configuration
    files = {"include": ["/try/log/a.log"], "exclude": ["/try/log/*.gz"], "storage": "s"}
    assert made["receivers"] == {"file_log": files, "otlp": {"x": 1}}
    assert made["extensions"] == {"file_storage/queues": {"directory": "state", "fsync": False}}
    assert made["processors"] == CONFIGURATION["processors"]
