"""What a compute node runs: one file per task."""
