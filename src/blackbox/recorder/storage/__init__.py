"""What lies on disk: chunks and their tiers, columns, the event log, and how it is packed."""
