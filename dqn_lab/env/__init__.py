"""Which task."""
