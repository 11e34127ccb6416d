"""What the README shows is what the repository holds."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_declaration_is_the_example_that_runs():
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert block is not None
    assert block[1] == (ROOT / "examples/electricity/system.py").read_text()


def test_the_pictures_and_documents_it_names_exist():
    for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("**/*.md")):
        for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name} names {target}, which does not exist"
