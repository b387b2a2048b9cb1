"""AiiDA node classes, the bulk writer, and reading back in bulk."""
