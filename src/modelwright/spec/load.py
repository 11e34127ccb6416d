"""`mw.load("system.py")`: import a system file and find the one System in it."""

import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import traceback
import types
from collections.abc import Sequence
from pathlib import Path

from modelwright.core.errors import DeclarationError, ModelwrightError
from modelwright.spec.system import System

USER = "modelwright_user_"
"""How the names of system files' modules begin."""

SOURCE = "__source_sha256__"
"""What a loaded system file's module says about the source it was made of."""


class FromSource(importlib.machinery.SourceFileLoader):
    """Compiles the file at every load and keeps no bytecode.

    A cache would miss a change within the same second; and code from a cache pickles to other bytes than code just
    compiled, which would give one model two content ids.
    """

    def get_code(self, fullname: str) -> types.CodeType:
        """The file's code, from its source."""
        return self.source_to_code(self.get_data(self.path), self.path)


class Neighbours(importlib.abc.MetaPathFinder):
    """Finds what lies beside a system file, to be loaded in the same way: it travels with a model, as the file itself does."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def file_of(self, name: str) -> Path | None:
        """Where the module of that name lies; None where it is none of the folder's."""
        module = self.home.joinpath(*name.split("."))
        ways = module.with_name(f"{module.name}.py"), module / "__init__.py"
        return next((file for file in reversed(ways) if file.is_file()), None)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's loader, where it is one of the folder's."""
        file = self.file_of(fullname)
        if file is None or (path is not None and str(self.home.joinpath(*fullname.split(".")[:-1])) not in path):
            return None
        return importlib.util.spec_from_file_location(fullname, file, loader=FromSource(fullname, str(file)))


def own_modules() -> list[types.ModuleType]:
    """The modules of the system files that are loaded, and of what lies in their folders."""
    finders = [(str(finder.home), finder) for finder in sys.meta_path if isinstance(finder, Neighbours)]

    def own(name: str, module: types.ModuleType) -> bool:
        if name.startswith(USER):
            return True
        file = vars(module).get("__file__") or ""
        # Thousands of modules are loaded: most are told from ours by their path, without asking the disk.
        return any(file.startswith(home) and file == str(finder.file_of(name)) for home, finder in finders)

    return [module for name, module in sys.modules.items() if own(name, module)]


def load(path: str | Path) -> System:
    """The System a Python file declares.

    Raises `DeclarationError` naming file and line where the file is absent, does not import, or declares no System or
    several without one called `system`.
    """
    module = import_file(path)
    file = Path(path).resolve()
    systems = {key: value for key, value in vars(module).items() if isinstance(value, System)}
    if not systems:
        raise DeclarationError(f"{file.name} declares no System; end it with `system = mw.System(...)`")
    if len(set(map(id, systems.values()))) > 1 and "system" not in systems:
        raise DeclarationError(f"{file.name} declares {len(systems)} Systems ({', '.join(systems)}); call one `system`")
    return systems.get("system", next(iter(systems.values()))).at(file)


def import_file(path: str | Path, declares: str = "the System") -> types.ModuleType:
    """A Python file as a module under a name of its own, with its folder on the import path, so that it may import its
    neighbours.

    Raises `DeclarationError` naming file and line where the file is absent or does not import.
    """
    file = Path(path).resolve()
    if file.is_dir():
        raise DeclarationError(f"{path} is a directory; give the Python file that declares {declares}")
    if not file.exists():
        raise DeclarationError(f"{path} does not exist; give the Python file that declares {declares}")
    name = f"{USER}{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_loader(name, FromSource(name, str(file)))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    _find_neighbours(file.parent)
    try:
        spec.loader.exec_module(module)
    except ModelwrightError as error:
        error.args = (f"{file.name}{_line(error, file)}: {error}",)
        raise
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise DeclarationError(f"{Path(error.filename or file).name}{line}: {error.msg}") from None
    except UnicodeDecodeError:
        raise DeclarationError(f"{file.name} is not Python source: it is not UTF-8 text") from None
    except (Exception, SystemExit) as error:
        raise DeclarationError(
            f"{file.name}{_line(error, file)} does not import: {type(error).__name__}: {error}"
        ) from error
    vars(module)[SOURCE] = hashlib.sha256(file.read_bytes()).hexdigest()
    return module


def _find_neighbours(home: Path) -> None:
    if not any(isinstance(finder, Neighbours) and finder.home == home for finder in sys.meta_path):
        builtin = importlib.machinery.PathFinder  # what is built in comes before what lies in a folder
        place = sys.meta_path.index(builtin) if builtin in sys.meta_path else 0
        sys.meta_path.insert(place, Neighbours(home))


def _line(error: BaseException, file: Path) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f", line {lines[-1]}" if lines else ""
