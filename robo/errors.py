"""Errors that end a command or a run with one line, and no traceback."""


class UserError(Exception):
    """Bad input: the message is one line that says what is wrong, where, and what to do.

    Command lines print it after ``error:`` and exit with code 2; nobody prints a traceback for it.
    """


class FatalError(Exception):
    """Starting again won't help: the message, one line, says what ended the run."""
