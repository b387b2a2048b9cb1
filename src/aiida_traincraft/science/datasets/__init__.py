"""Labelled frames: reading, judging, near duplicates, splitting, health."""
