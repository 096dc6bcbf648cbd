"""The one error that a user can mend."""


class UserError(Exception):
    """Bad input: the message is one line that says what is wrong, where, and what to do.

    Command lines print it after ``error:`` and exit with code 2; nobody prints a traceback for it.
    """
