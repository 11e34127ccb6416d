"""`modelwright key`: API keys of a workspace, made, listed and revoked. A server of that workspace follows within a second."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from modelwright.app.commands.serve import home
from modelwright.app.wiring import FOLDER, moved
from modelwright.core.clock import SystemClock, iso
from modelwright.core.errors import UsageError
from modelwright.lake.workspace import Workspace
from modelwright.serving.keys import KeyFile, rate_of


class Made(msgspec.Struct, kw_only=True):
    """What `key create --json` prints: the one time the key is shown."""

    name: str
    key: str
    scopes: list[str]
    rate: str | None


class Listed(msgspec.Struct, kw_only=True):
    """A key without the key."""

    name: str
    scopes: list[str]
    rate: str | None
    created: str
    revoked: str | None


def workspace_for(given: Path) -> Workspace:
    """The state folder of a system file, of a release folder that is served alone, or the folder itself."""
    if given.is_file():
        return Workspace(moved() or given.resolve().parent / FOLDER)
    if not given.is_dir():
        raise UsageError(f"{given} is neither a system file nor a folder; give one of them")
    return Workspace(home() if (given / "manifest.json").is_file() else given)


def create(given: Path, name: str, scopes: Sequence[str], rate: str | None) -> Made:
    """Make a key."""
    space = workspace_for(given)
    limit = rate_of(rate) if rate is not None else None
    with space.exclusive("keys"):
        made = KeyFile(space.keys).create(name, scopes, limit, SystemClock().now_us())
    return Made(name=name, key=made, scopes=list(scopes), rate=rate)


def revoke(given: Path, name: str) -> int:
    """Revoke a key; how many are left."""
    space = workspace_for(given)
    with space.exclusive("keys"):
        return len(KeyFile(space.keys).revoke(name, SystemClock().now_us()))


def listed(given: Path) -> list[Listed]:
    """Every key there ever was."""
    return [
        Listed(
            name=key.name, scopes=list(key.scopes), rate=str(key.rate) if key.rate else None,
            created=iso(key.created_us), revoked=iso(key.revoked_us) if key.revoked_us else None,
        )
        for key in KeyFile(workspace_for(given).keys).read()
    ]  # fmt: skip
