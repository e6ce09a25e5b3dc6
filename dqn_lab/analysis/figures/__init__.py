"""Figures of a comparison, drawn once, written as SVG and PNG, and shown in light and dark mode."""
