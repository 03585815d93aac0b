"""A server's audit log as a client reads it: its lines, and asking again for the explanations that they record."""
