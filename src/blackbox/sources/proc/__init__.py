"""What /proc tells of processes, their threads and their ends."""
