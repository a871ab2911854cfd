"""What commands print for people at a terminal: one screen each. Pipes get what they always got."""
