"""The error that a person should read: what is wrong and what to do about it."""


class UserError(Exception):
    """A condition that the person running the command can remedy.

    The command line prints `message` and `remedy` on one line each, without a traceback, and exits with code 1.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class NotReachable(UserError):
    """The source or the warehouse does not take a connection. Who has used it before may try again by itself."""
