"""The processes of a run: one module each, declared in table.py, joined by channels.py."""
