"""The look of everything that people see: colours, type, scales and marks, in one place."""
