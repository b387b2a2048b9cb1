"""What a compute node runs."""
