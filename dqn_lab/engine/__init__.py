"""How an update is executed."""
