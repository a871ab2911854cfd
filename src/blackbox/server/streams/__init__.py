"""Server-sent events: one frame for many clients, and where each of them resumes."""
