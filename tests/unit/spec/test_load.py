import sys
from pathlib import Path

import pytest

import modelwright as mw
from modelwright.core.errors import DeclarationError, MissingExtraError

HEAD = """
from datetime import datetime
import modelwright as mw

class Model:
    def fit(self, x, y): ...
    def predict(self, x): ...

@mw.event(time="at")
class Tick:
    at: datetime
    x: float

def declare(name):
    return mw.System(name=name, event=Tick, label=mw.Label("up", bool, delay="1h"), model=Model())
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Writes a system file and loads it; neither path nor modules outlive the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def write(text: str | bytes, name: str = "system.py") -> mw.System:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return mw.load(path)

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def refusal(load):
    def message(text: str | bytes, name: str = "system.py") -> str:
        with pytest.raises(DeclarationError) as caught:
            load(text, name)
        return str(caught.value)

    return message


def test_the_system_knows_its_file(load, tmp_path):
    loaded = load(HEAD + "anything = declare('ticks')")
    assert (loaded.name, loaded.path, loaded.home) == ("ticks", tmp_path / "system.py", tmp_path)


def test_the_one_called_system_is_meant(load):
    assert load(HEAD + "a = declare('a')\nsystem = declare('b')").name == "b"


def test_two_names_of_one_system_are_one(load):
    assert load(HEAD + "a = declare('a')\nb = a").name == "a"


def test_a_file_may_import_its_neighbours(load, tmp_path):
    (tmp_path / "neighbour_of_load.py").write_text(HEAD)
    assert load("from neighbour_of_load import declare\nsystem = declare('n')").name == "n"


def test_a_file_without_a_suffix_may_be_loaded_again_after_a_change(load):
    assert [load(HEAD + f"s = declare('{name}')", "file").name for name in ("a", "b")] == ["a", "b"]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DeclarationError, match=r"nothing\.py does not exist; give the Python file"):
        mw.load(tmp_path / "nothing.py")


def test_a_directory(tmp_path):
    with pytest.raises(DeclarationError, match="is a directory; give the Python file"):
        mw.load(tmp_path)


def test_no_permission(load, tmp_path, monkeypatch):
    # As root every file is readable, so the reading itself is made to fail.
    load(HEAD + "s = declare('a')")

    def refuse(self: object, path: str) -> bytes:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("importlib.machinery.SourceFileLoader.get_data", refuse)
    with pytest.raises(DeclarationError, match=r"system\.py does not import: PermissionError"):
        mw.load(tmp_path / "system.py")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nif:\n", "system.py, line 2: invalid syntax"),
        ("x = 1\n\n  y = 2\n", "system.py, line 3: unexpected indent"),
        (
            "\n\nimport no_such_module_at_all\n",
            "system.py, line 3 does not import: ModuleNotFoundError: No module named",
        ),
        ("def f():\n    return 1 / 0\nf()\n", "system.py, line 2 does not import: ZeroDivisionError"),
        ("import sys\nsys.exit(0)\n", "system.py, line 2 does not import: SystemExit: 0"),
        (
            HEAD + "x = mw.Label('y', dict, delay='1d')",
            "system.py, line 16: Label('y', <class 'dict'>): the kind is one of",
        ),
        (b"x = 1\n\ny = '\xff'\n", "system.py, line 3: (unicode error) 'utf-8' codec can't decode byte 0xff"),
        (b"x = 1\0\n", "system.py: source code string cannot contain null bytes"),
        ("x = 1", "system.py declares no System; end it with `system = mw.System(...)`"),
        ("", "system.py declares no System"),
        (HEAD + "a = declare('a')\nb = declare('b')", "system.py declares 2 Systems (a, b); call one `system`"),
    ],
)
def test_what_is_wrong_and_where(refusal, text, said):
    assert refusal(text).startswith(said)


def test_a_syntax_error_of_a_neighbour_is_the_neighbours(refusal, tmp_path):
    (tmp_path / "broken_neighbour_of_load.py").write_text("x = 1\ny = 2\nif:\n")
    assert refusal("import broken_neighbour_of_load\n") == "broken_neighbour_of_load.py, line 3: invalid syntax"


def test_any_of_our_errors_keeps_its_kind_and_gains_the_place(load):
    with pytest.raises(MissingExtraError, match=r"system\.py, line 2: training needs pandas"):
        load(
            "from modelwright.core.errors import MissingExtraError\nraise MissingExtraError('pandas', 'train', 'training')"
        )


def test_ctrl_c_while_a_file_is_imported_is_not_its_error(load):
    with pytest.raises(KeyboardInterrupt):
        load("raise KeyboardInterrupt")


def test_the_example_of_the_repository_loads():
    example = Path(__file__).parents[3] / "examples" / "electricity" / "system.py"
    assert mw.load(example).name == "electricity"
