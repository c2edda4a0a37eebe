"""Whole collections: many images analysed as one, so that one number means one thing in all of them."""
