"""What the columns of a table are: numbers, dates, categories, or nothing to learn from; and how they are written."""
