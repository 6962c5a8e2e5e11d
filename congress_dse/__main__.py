"""``python -m congress_dse`` is the command congress-dse."""

import sys

from congress_dse.cli import main

if __name__ == "__main__":
    sys.exit(main())
