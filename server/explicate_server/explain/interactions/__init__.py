"""What two players add together beyond what each adds alone."""
