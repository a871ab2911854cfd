"""Minimal servers, one per HTTP library: `/frame` answers a fixed body, `/stream` sends it at an interval.

Each is a program: `python -m benchmarks.candidates.NAME PORT BODY_FILE INTERVAL`. They do what the library's users do
with it and nothing of what Blackbox adds, so they show what a library costs before any of our code runs.
"""
