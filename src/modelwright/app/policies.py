"""A file of policies: what `rehearse --compare` puts in place of the declared settings, by name.

policies = {
    "never": [],
    "weekly": [retrain.every("7d")],
    "weekly, on half a year": {"retrain": [retrain.every("7d")], "train_on": past.last("180d")},
}
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelwright.core.errors import DeclarationError
from modelwright.spec.load import import_file
from modelwright.spec.system import System

MAY_DIFFER = ("retrain", "rollout", "train_on", "model", "gates", "validation", "check", "seed")
"""What a policy may set: how the system looks after itself. Another event, label or history is another system."""
DECLARED = "as declared"


def systems_of(system: System, path: Path) -> dict[str, System]:
    """The system as it is declared, and one for every policy of the file.

    Raises `DeclarationError` where the file declares no `policies`, or one that no system can have.
    """
    declared = vars(import_file(path, "the policies")).get("policies")
    if not isinstance(declared, Mapping) or not declared:
        raise DeclarationError(
            f'{path.name}: declare the policies to compare, such as policies = {{"weekly": [retrain.every("7d")]}}'
        )
    systems = {DECLARED: system}
    for name, settings in declared.items():
        if not (isinstance(name, str) and name.strip()) or name == DECLARED:
            raise DeclarationError(
                f"{path.name}: {name!r} is no name for a policy; give a text other than {DECLARED!r}"
            )
        try:
            systems[name] = system.replaced(**_settings(settings))
        except DeclarationError as error:
            raise DeclarationError(f"{path.name}, policy {name!r}: {error}") from None
    return systems


def _settings(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        return {"retrain": given}
    for name in given:
        if name not in MAY_DIFFER:
            raise DeclarationError(f"{name!r} cannot differ between policies; it may be {', '.join(MAY_DIFFER)}")
    return dict(given)
