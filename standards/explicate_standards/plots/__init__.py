"""What an evaluation looks like: which plots there are, as numbers, and how a report draws them."""
