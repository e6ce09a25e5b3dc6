"""How actions are tried."""
