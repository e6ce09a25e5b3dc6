"""`python -m dqn_lab`."""

from dqn_lab.cli import main

main()
