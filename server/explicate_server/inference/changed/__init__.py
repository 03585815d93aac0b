"""What would change an answer: what a flip is for each kind of answer, and the search on a served model."""
