"""Section ``[labelling]``: a module for each labeller."""
