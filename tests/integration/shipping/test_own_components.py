"""The collector's components of ours, by Go's own tests: what stands behind them there waits, fails, or counts."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from audit_operator.controlplane.assets import go_build


@pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go toolchain")
@pytest.mark.parametrize(("module", "packages"), [("processors", 3), ("extensions", 1)])
def test_the_tests_in_go_pass(module, packages):
    """Compiled as the collector is, so that most of it has been."""
    done = subprocess.run(
        ["go", "test", "-trimpath", "./..."],  # noqa: S607  # where it is, is the user's choice
        cwd=go_build.CHECKOUT_TOOLS / "otelcol" / module,
        env=go_build.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok  \t") == packages, done.stdout
