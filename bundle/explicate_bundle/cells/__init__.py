"""How the cells of a table's columns are read: one rule for training and for serving."""
