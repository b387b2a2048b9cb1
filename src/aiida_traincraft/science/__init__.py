"""Floor 0: pure functions on structures; never imports aiida."""
