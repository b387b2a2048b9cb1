"""Section ``[exploration]``: a module for each explorer."""
