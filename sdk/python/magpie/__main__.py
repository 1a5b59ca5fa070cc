"""``python -m magpie``: what a plugin's author does with this SDK beside importing it."""

import sys

from .pack import command

if __name__ == "__main__":
    if sys.argv[1:2] == ["pack"]:
        sys.exit(command(sys.argv[2:]))
    print("usage: python -m magpie pack [DIR | FILE.py] [-o FILE] [-python INTERPRETER]", file=sys.stderr)
    sys.exit(2)
