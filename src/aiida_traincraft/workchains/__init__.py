"""WorkChains: label, train, explore, and the active-learning loop over them."""
