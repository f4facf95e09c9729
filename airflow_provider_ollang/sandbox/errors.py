"""What the sandbox says when it is asked for something it does not know."""

from __future__ import annotations


class SandboxError(ValueError):
    """A control call or argument of the sandbox that makes no sense; never an answer of the imitated API.

    :param message: what is wrong, and what would be right.
    :param status: the HTTP status with which the control answers.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
