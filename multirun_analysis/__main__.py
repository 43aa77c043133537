"""``python -m multirun_analysis``."""

import sys

from multirun_analysis.cli import main

if __name__ == "__main__":
    sys.exit(main())
