"""A bench for deep Q-networks: change one piece, hold the rest, see what it does."""

__version__ = "0.1.0"
