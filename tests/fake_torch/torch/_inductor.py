"""The compiler: what imports it pays for it."""
