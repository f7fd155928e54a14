"""A catalogue: many sets of photos, protected by as many processes as there are, each set once."""
