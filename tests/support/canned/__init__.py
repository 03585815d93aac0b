"""A server with canned answers, for tests of the clients."""
