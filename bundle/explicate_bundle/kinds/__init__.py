"""What differs in a bundle by what its model reads: one file for each kind of input."""
