"""Files from elsewhere into the graph, and out of it."""
