"""What leaves Blackbox in formats of others: Prometheus exposition, and files of tables."""
