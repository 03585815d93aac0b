"""How files of rows and texts are read, for the command line and the scorer alike; nothing here needs a package."""
