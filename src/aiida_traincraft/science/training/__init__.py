"""ACE potentials: bases, linear and nonlinear fits, active sets."""
