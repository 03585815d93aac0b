"""Many runs of one config: what makes a model accurate, what makes it easy to explain, and what that costs."""
