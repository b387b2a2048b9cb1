"""Errors of potentials, and what their uncertainty says of them."""
