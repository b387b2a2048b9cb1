"""Nodes of structures and labels: scalars in the database, arrays in a shared batch object."""
