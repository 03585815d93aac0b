"""The audit log of the server, for people who look a request up and ask for its explanation again."""
