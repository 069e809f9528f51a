"""What a zoo of many teachers costs: zoos of copies, the works on them, and the table."""
