"""Objects: what stands apart from its surroundings, among many small things or among the regions of the tree."""
