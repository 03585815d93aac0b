"""Builders, servers and checks that the tests share."""
