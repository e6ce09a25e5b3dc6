"""The task."""
