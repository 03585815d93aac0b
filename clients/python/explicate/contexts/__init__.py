"""Which server to ask, as whom and for which model: the environment and the named contexts of a file, in one place.

`chosen.chosen` is what the command line and `Client.from_env` both ask; `context_file` reads and writes the file.
Standard library only, and no gRPC: a health probe goes through here.
"""
