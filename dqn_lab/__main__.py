"""`python -m dqn_lab`."""

import sys

try:
    from dqn_lab.cli import main

    main()
except KeyboardInterrupt:  # while Python is still importing
    sys.exit(130)
