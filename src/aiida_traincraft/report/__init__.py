"""What a campaign leaves for its user: files, tables, plots."""
