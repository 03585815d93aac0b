"""Who plays in the games of explanations: the parts of an input that can be absent, alike in training and server."""
