"""The training box for self-driving racing bots."""
