"""Random tests are judged by what they find, not by how fast a busy machine is."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.examples import examples

settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=examples(100)
)
settings.load_profile("patient")
