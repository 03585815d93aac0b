"""What a bundle is held to, as far as a server must know it: the file that says it, the record of it, the verdict."""
