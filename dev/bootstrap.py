"""Makes `.venv`: `python3 -m dev.bootstrap`. Needs a Python and nothing else.

Written so that any Python 3 can read it: one that is too old must still be able to say so.
"""

import sys

OLDEST = (3, 11)


def refusal(version: tuple, executable: str) -> str:  # type: ignore[type-arg]  # tuple[int, ...] is not for old Pythons
    """Say why this Python cannot be used; empty if it can."""
    if version[:2] >= OLDEST:
        return ""
    found = ".".join(str(part) for part in version[:3])
    return (
        "Python 3.11 or newer is needed; this is "
        + found
        + " ("
        + executable
        + ").\nName a newer one, for example: PYTHON=python3.12 make demo"
    )


def main() -> int:
    """Make the environment, or say in one message why it cannot be made."""
    problem = refusal(tuple(sys.version_info), sys.executable)
    if problem:
        sys.stderr.write(problem + "\n")
        return 1
    from dev.environment import EnvironmentFailedError, ensure  # noqa: PLC0415 - not for an old Python to read

    try:
        ensure()
    except EnvironmentFailedError as error:
        sys.stderr.write(str(error) + "\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; the next run starts the environment anew\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
