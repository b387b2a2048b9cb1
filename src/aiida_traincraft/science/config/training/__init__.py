"""Section ``[training]``: a module for each trainer."""
