"""`python -m modelwright`: the command line, by the interpreter that it is asked of."""

import sys

from modelwright.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
