"""What terms know of words. It is not with what reads texts, because kinds of data do not know each other."""
