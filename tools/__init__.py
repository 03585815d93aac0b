"""What keeps the house in shape; nothing here is installed."""
