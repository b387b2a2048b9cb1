"""Nodes of trained potentials, by who trained them."""
