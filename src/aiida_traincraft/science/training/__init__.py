"""Fits: what each trainer reads and writes, and what all of them ask of labels."""
