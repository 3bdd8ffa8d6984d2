"""Build the container image of audit-operator without a container engine.

    python3 -m tools.image.build --collector OTELCOL              # build/audit-operator-image.tar
    ctr -n k8s.io images import build/audit-operator-image.tar    # or docker load, kind load image-archive
    python3 -m tools.image.build --rootfs FOLDER                  # only its files, as the Dockerfile takes them

OTELCOL is what `python -m audit_operator.controlplane.assets collector` builds of tools/otelcol. Needs Debian 12's apt
and dpkg (apt-get download, dpkg-deb; no root), pip, and nothing outside the standard library. Two builds of the same
sources from the same packages give the same bytes; SOURCE_DATE_EPOCH is the time of all files, 1970 unless it is set.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tools.image import debian, oci, rootfs

PROJECT = Path(__file__).parents[2]


def cache_folder() -> Path:
    """Where downloads are kept: the cache of the project's other downloads."""
    base = os.environ.get("AUDIT_OPERATOR_CACHE")
    shared = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "audit-operator"
    return shared / "image"


def created() -> int:
    """The time of everything in the image, in seconds since 1970."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or 0)


def image(reference: str) -> oci.Image:
    """What the image is, but for its files."""
    return oci.Image(
        reference,
        debian.architecture(),
        {
            "Entrypoint": [rootfs.COMMAND],
            "Env": [f"PATH=/{rootfs.APPLICATION}/bin:/usr/bin", "LANG=C.UTF-8"],
            "Labels": {
                "org.opencontainers.image.title": rootfs.COMMAND,
                "org.opencontainers.image.version": rootfs.version(PROJECT),
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
            "User": f"{rootfs.USER}:{rootfs.USER}",
            "WorkingDir": "/",
        },
        created(),
    )


def build(output: Path, reference: str, collector: Path) -> str:
    """Build the image into an OCI archive; returns its digest. Raises what `rootfs.build` raises.

    The collector is a layer of its own, below the project: it changes with its release alone.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".rootfs-") as name:
        root = Path(name)
        rootfs.build(root, PROJECT, cache_folder(), created(), collector)
        return oci.write(image(reference), root, [rootfs.COLLECTOR, rootfs.APPLICATION], output)


def main() -> int:
    """Build what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python3 -m tools.image.build", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=PROJECT / "build" / "audit-operator-image.tar", help="archive")
    parser.add_argument("--reference", default=f"localhost/audit-operator:{rootfs.version(PROJECT)}", help="its name")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--collector", type=Path, help="the collector that the image is to hold")
    wanted.add_argument("--rootfs", type=Path, help="make the root file system, but for the collector, in this folder")
    options = parser.parse_args()
    try:
        if options.rootfs:
            options.rootfs.mkdir(parents=True, exist_ok=True)
            rootfs.build(options.rootfs, PROJECT, cache_folder(), created())
        else:
            digest = build(options.output, options.reference, options.collector)
            print(f"{options.reference} {digest} {options.output}")
    except debian.PackagesUnavailableError as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
