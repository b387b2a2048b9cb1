"""A package that extends traincraft from outside: everything in it is found by entry points."""
