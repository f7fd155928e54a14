"""What a run leaves behind for people: manifests, grids of pictures and pages."""
