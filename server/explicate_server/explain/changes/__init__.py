"""What would change the answer: a search for the smallest change of an input that flips a decision."""
