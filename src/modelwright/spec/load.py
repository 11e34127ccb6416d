"""`mw.load("system.py")`: import a system file and find the one System in it."""

import hashlib
import importlib.machinery
import importlib.util
import sys
import traceback
import types
from pathlib import Path

from modelwright.core.errors import DeclarationError, ModelwrightError
from modelwright.spec.system import System

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


def load(path: str | Path) -> System:
    """The System a Python file declares.

    The file is imported under a name of its own with its folder on the import path, so that it may import its
    neighbours. Raises `DeclarationError` naming file and line where the file is absent, does not import, or declares
    no System or several without one called `system`.
    """
    file = Path(path).resolve()
    if file.is_dir():
        raise DeclarationError(f"{path} is a directory; give the Python file that declares the System")
    if not file.exists():
        raise DeclarationError(f"{path} does not exist; give the Python file that declares the System")
    name = f"modelwright_user_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_loader(name, FromSource(name, str(file)))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
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
    systems = {key: value for key, value in vars(module).items() if isinstance(value, System)}
    if not systems:
        raise DeclarationError(f"{file.name} declares no System; end it with `system = mw.System(...)`")
    if len(set(map(id, systems.values()))) > 1 and "system" not in systems:
        raise DeclarationError(f"{file.name} declares {len(systems)} Systems ({', '.join(systems)}); call one `system`")
    return systems.get("system", next(iter(systems.values()))).at(file)


def _line(error: BaseException, file: Path) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f", line {lines[-1]}" if lines else ""
