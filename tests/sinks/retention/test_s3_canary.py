"""What a trial says of stores that refuse for other reasons than a lock; what real ones do is in tests/integration."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from minio.error import S3Error

from audit_operator.api.sink import S3, ObjectLockMode
from audit_operator.sinks.retention.s3_canary import try_to_delete

MOMENT = timedelta(milliseconds=5)


class FaultyClient:
    """Refuses each deletion with the next code; an empty one lets it through, and the last one counts for the rest."""

    def __init__(self, *codes, version="v1"):
        self.codes, self.version = list(codes), version

    def put_object(self, _bucket, name, *_, **__):
        return SimpleNamespace(object_name=name, version_id=self.version)

    def remove_object(self, *_, **__):
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        if code:
            raise S3Error(SimpleNamespace(), code, "said", "/", "id", "host")

    def list_objects(self, *_, **__):
        return []


@pytest.mark.parametrize(
    ("client", "said"),
    [
        (FaultyClient("AccessDenied", ""), ""),
        (FaultyClient(""), "could be deleted"),
        (FaultyClient("InternalError"), "the store failed"),
        (FaultyClient("SlowDown", ""), "the store failed"),
        (FaultyClient("AccessDenied"), "let the access key delete versions below prod/.retention-canary/"),
        (FaultyClient("", version=None), "has no version"),
    ],
)
def test_only_a_refusal_that_ends_with_the_lock_proves_the_lock(client, said, monkeypatch):
    monkeypatch.setattr("audit_operator.sinks.retention.s3_canary._STEP", 0.001)
    bucket = S3(bucket="audit", prefix="prod/")
    made = try_to_delete(client, bucket, ObjectLockMode.COMPLIANCE, datetime.now(UTC), MOMENT)
    assert said in made
    assert bool(said) == bool(made)
