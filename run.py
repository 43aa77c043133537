"""Run one trial, with --multirun a sweep of trials, or tell why one runs: see ``--help``."""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["why"]:
        from erasure.cli.why import main as why

        sys.exit(why(sys.argv[2:]))
    from erasure.cli.run import main

    sys.exit(main())
