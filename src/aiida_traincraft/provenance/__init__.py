"""Questions to the graph: find nodes, follow lineage, sum a campaign up."""
