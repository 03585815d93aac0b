"""`explicate curve`: what more labels would buy."""
