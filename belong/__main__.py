"""`python -m belong` is the command `belong`."""

import sys

from belong.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
