"""Guards of DFT codes: what becomes a label, and what is refused."""
