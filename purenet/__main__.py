"""`python -m purenet`: the command line."""

import sys

from purenet.cli import main

if __name__ == "__main__":
    sys.exit(main())
