"""Changes of a structure, applied in order: one plugin per file."""
