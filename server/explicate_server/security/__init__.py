"""Who may call what, and which files may be trusted: rights, tokens, certificates, signatures. Knows no gRPC."""
