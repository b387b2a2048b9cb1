"""A whole campaign before and between its steps: preflight, stop criteria."""
