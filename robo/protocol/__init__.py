"""The simulator's wire formats, both directions, without any I/O."""
