"""Write a release folder: complete under its final name, or not there at all."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from modelwright.core.canonical import sha256_hex
from modelwright.release.folder import content_id
from modelwright.release.manifest import Manifest, encode_pretty

PARTIAL = ".partial-"


def publish(
    releases: Path, number: int, manifest: Manifest, files: Mapping[str, bytes], observed: Mapping[str, Any]
) -> tuple[str, Manifest]:
    """Write the folder `r<number>-<hash>` below `releases`; returns its name and the manifest with the files' hashes.

    `observed` (timings, machine, versions) goes into `observed.json`, which is outside the hashes: equal material and
    equal code give an equal name. An interrupted publication leaves only a `.partial-` folder, which `sweep` removes.
    """
    hashes = {name: sha256_hex(data) for name, data in sorted(files.items())}
    manifest = msgspec.structs.replace(manifest, files=hashes)
    name = f"r{number}-{content_id(manifest)}"
    releases.mkdir(parents=True, exist_ok=True)
    if (releases / name).exists():
        return name, manifest
    partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=releases))
    try:
        for file, data in {
            **files,
            "manifest.json": encode_pretty(manifest),
            "observed.json": encode_pretty(observed),
        }.items():
            with (partial / file).open("wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
        partial.chmod(0o755)
        _sync(partial)
        partial.rename(releases / name)
        _sync(releases)  # a journal row may name it from now on
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return name, manifest


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(releases: Path) -> None:
    """Remove what interrupted publications left. Only the owner of the workspace may call this."""
    for partial in releases.glob(f"{PARTIAL}*"):
        shutil.rmtree(partial, ignore_errors=True)
