"""Arrays, distances, fragments and sizes of atoms; conversion between libraries."""
