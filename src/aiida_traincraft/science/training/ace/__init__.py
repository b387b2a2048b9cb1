"""From a config to an ACE potential."""
