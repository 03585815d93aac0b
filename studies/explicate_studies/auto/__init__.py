"""`explicate auto`: from data to the model to take, in a given time, with the reason in one paragraph."""
