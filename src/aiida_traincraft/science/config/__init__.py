"""Typed configuration: one module per TOML section."""
