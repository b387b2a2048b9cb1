"""Structures made from a description: one plugin per file."""
