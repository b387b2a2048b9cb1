"""Structures that exist already: one plugin per file."""
