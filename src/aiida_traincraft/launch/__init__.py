"""A config becomes a running process: builders, checks against the profile, trial jobs."""
