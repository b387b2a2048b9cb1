"""Calcfunctions, by what they make."""
