"""Model runtimes behind one small interface, and the batcher that feeds them."""
