"""Questions about a recording: a moment, a metric over time, and who may see it."""
