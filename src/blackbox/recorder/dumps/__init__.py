"""Dumps: the minutes around an incident, kept in one file."""
