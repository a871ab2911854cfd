"""HTTP itself: requests, answers, limits, connections and listeners. Knows nothing of GPUs."""
