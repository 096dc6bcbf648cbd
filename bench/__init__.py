"""Benchmarks of the whole chain; nothing of the product imports this."""
