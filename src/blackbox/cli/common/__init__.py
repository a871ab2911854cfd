"""What commands share: flags, how to reach a server or a recording, and how to print."""
