"""From a config to MACE's own input files, and back."""
