"""Peers' own environments, in the user's cache: made when first wanted, kept, and never the project's."""

import subprocess
import sys
import venv
from pathlib import Path

from modelwright.features.kernel.compiled import user_cache


def environment(name: str, *requirements: str) -> Path | str:
    """The interpreter of an environment with these requirements, or the line that says why there is none."""
    folder = user_cache() / "modelwright" / f"bench-{name}"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = folder / "ready"
    wanted = "\n".join(requirements)
    if ready.exists() and ready.read_text() == wanted:
        return python
    try:
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        return f"{requirements[0]} could not be installed: {lines[-1] if lines else error}"
    ready.write_text(wanted)
    return python
