"""One embedding for every image of a collection, from statistics of fixed size."""
