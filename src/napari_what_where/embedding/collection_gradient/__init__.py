"""The paper's method for collections, by gradient descent on a table of logits, and the exact answer on its graphs."""
