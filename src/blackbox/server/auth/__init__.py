"""Who may ask: addresses, hosts, origins, tokens, passwords and TLS."""
