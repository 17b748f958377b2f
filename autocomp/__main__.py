"""`python -m autocomp` is `autocomp`."""

import sys

from autocomp.cli import main

if __name__ == "__main__":
    sys.exit(main())
