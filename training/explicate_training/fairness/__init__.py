"""What training does so that groups of rows are treated more alike."""
