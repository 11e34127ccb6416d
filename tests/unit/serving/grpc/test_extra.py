"""What the extra installs is looked for before a server starts."""

import sys

import pytest

from modelwright.core.errors import MissingExtraError
from modelwright.serving.grpc.extra import LIBRARIES, check_installed


def test_all_of_it_is_here():
    check_installed()


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_absent_is_named_with_the_command_that_installs_it(library, monkeypatch):
    monkeypatch.setitem(sys.modules, LIBRARIES[library], None)
    with pytest.raises(MissingExtraError, match=rf"--grpc-port needs {library}.*pip install 'modelwright\[grpc\]'"):
        check_installed()
