"""
Reading the arguments of operators, sensors and the hook: what is accepted, and a clear error for the rest.

What is not accepted is an :class:`.OllangConfigurationError`; ``name`` is the argument's, for its message.
"""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar
from urllib.parse import unquote

from airflow_provider_ollang.domain.orders import KNOWN_STATUSES
from airflow_provider_ollang.domain.values import plain_name, printable, readable
from airflow_provider_ollang.exceptions import OllangConfigurationError


class NotGiven(enum.Enum):
    """``rerun=None`` must not mean "no rerun": an upstream task marked as success by hand returns ``None``."""

    NOT_GIVEN = enum.auto()


NOT_GIVEN = NotGiven.NOT_GIVEN

Choice = TypeVar("Choice", bound=str)

#: Beyond any wait, and within what a ``timedelta`` can hold.
_LONGEST = float(timedelta.max.days * 86400)
#: Seconds after which any wait ends: Airflow keeps its end as a date, and there is none beyond the year 9999.
LONGEST_TIMEOUT = 3650 * 86400.0
#: How much of a status must be that of a known one to be a misspelling of it: about one letter in eight may differ.
_MISSPELT = 0.87


def parse_seconds(name: str, value: float | timedelta) -> float:
    """Return the seconds of a duration, which is not negative."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST:
        raise OllangConfigurationError(f"{name} must be a number of seconds from 0 or a timedelta, not {value!r:.80}.")
    return float(value)


def parse_timeout(name: str, value: float | timedelta) -> float:
    """Return the seconds that a wait may take: at most :data:`LONGEST_TIMEOUT`."""
    longest = timedelta(seconds=LONGEST_TIMEOUT)
    return min(parse_seconds(name, min(value, longest) if isinstance(value, timedelta) else value), LONGEST_TIMEOUT)


def require_count(name: str, value: int) -> int:
    """Return a whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OllangConfigurationError(f"{name} must be a number from 1, not {value!r:.80}.")
    return value


def parse_credits(name: str, value: float | None) -> float | None:
    """Return a number of credits, which is not negative; ``None`` where there is none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise OllangConfigurationError(f"{name} must be a number of credits from 0, not {value!r:.80}.")
    return float(value)


def parse_count(name: str, value: object, low: int, high: int) -> int:
    """Return a whole number in a range, given as such or as text, as templates and forms bring it."""
    number: object = value
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 10:
        number = int(value)
    if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
        raise OllangConfigurationError(f"{name} must be a whole number from {low} to {high}, not {value!r:.80}.")
    return number


def require_choice(name: str, value: Choice, choices: Sequence[str]) -> Choice:
    """Return an argument that is one of a few names."""
    if value not in choices:
        listed = " or ".join(repr(choice) for choice in choices)
        raise OllangConfigurationError(f"{name} must be {listed}, not {value!r:.80}.")
    return value


def require_text(name: str, value: object) -> str:
    """Return a text that is not blank, and has no control characters."""
    if not isinstance(value, str) or not value.strip() or printable(value) != value or "{{" in value:
        shown = repr(readable(value, 80)) if isinstance(value, str) else type(value).__name__
        raise OllangConfigurationError(f"{name} must be a text on one line, not {shown}.")
    return value


def parse_names(name: str, value: Iterable[str] | str) -> list[str]:
    """Return the names of a collection or a comma-separated text, at least one, each once, in their order."""
    values = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [value]
    names = [item.strip() if isinstance(item, str) else item for item in values]
    if not names or not all(isinstance(item, str) and item for item in names):
        raise OllangConfigurationError(
            f"{name} must be one or more names, or a comma-separated text, not {value!r:.80}."
        )
    return list(dict.fromkeys(names))


def nearest_name(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """
    Return the one of some names that a misspelling resembles most; case, spaces, ``_`` and ``-`` do not count.

    :param cutoff: how much of the misspelling must be that of the right name, from 0 to 1.
    """
    by_plain_name = {plain_name(right): right for right in sorted(names)}
    nearest = difflib.get_close_matches(plain_name(name), by_plain_name, n=1, cutoff=cutoff)
    return by_plain_name[nearest[0]] if nearest else None


def unknown_statuses(statuses: Iterable[str]) -> dict[str, str | None]:
    """Return the statuses that are not known, each with the known one it resembles most."""
    return {status: nearest_name(status, KNOWN_STATUSES) for status in statuses if status not in KNOWN_STATUSES}


def require_no_misspelt_status(name: str, statuses: object) -> None:
    """
    Refuse a status that is surely meant to be a known one: it would be waited for in vain.

    The set of statuses is open, so one that resembles none is let through, and so is a template.

    :param statuses: a text, a collection, or what stands for either until the task runs.
    """
    given = statuses.split(",") if isinstance(statuses, str) else statuses
    # An iterator could be gone through only once, and what comes from another task is not there yet.
    if not isinstance(given, list | tuple | set | frozenset) or "{{" in str(statuses) or "{%" in str(statuses):
        return
    texts = {value.strip() for value in given if isinstance(value, str)}
    for status in sorted(texts - KNOWN_STATUSES):
        if nearest := nearest_name(status, KNOWN_STATUSES, cutoff=_MISSPELT):
            raise OllangConfigurationError(
                f"{name} names {status!r}, which is no status of Ollang: did you mean {nearest!r}?"
            )


# --- Order ids ------------------------------------------------------------------------------------------------

#: A scheme (RFC 3986 section 3.1), a host without one, or a query: with it a link of any spelling is a URL.
_URL_PARTS = re.compile(r"^[a-z][a-z0-9+.-]*:|://|^//|\?|(?:signature|credential|token|sig|key)=", re.IGNORECASE)
_OBJECT_ID = re.compile(r"[0-9a-f]{24}", re.IGNORECASE)
#: What the API documents ids to be made of.
_DOCUMENTED_ID = re.compile(r"[\w-]+", re.ASCII)


def parse_order_id(value: object) -> str:
    """
    Read the id of an order from whatever a DAG hands on.

    :param value: the id as text or number, or a mapping with ``order_id`` or ``id``, such as the result of an
        operator or sensor of this provider, or an order.
    :return: the id, trimmed.
    :raises OllangConfigurationError: it is empty, ``None``, an unrendered template, a URL, a name or a list, or could
        not be one path segment. Of a URL the message shows no path and no query.
    """
    return _parse_id("order", value)


def parse_project_id(value: object) -> str:
    """
    Read the id of a project from whatever a DAG hands on.

    :param value: the id as text or number, or a mapping with ``project_id`` or ``id``, such as the result of
        :class:`.ObjectStorageToOllangOperator`, or a project.
    :return: the id, trimmed.
    :raises OllangConfigurationError: as :func:`parse_order_id`.
    """
    return _parse_id("project", value)


def _parse_id(kind: str, value: object) -> str:
    """Read the id of an order or a project: the name of the argument is its ``kind`` and ``_id``."""
    name = f"{kind}_id"
    if isinstance(value, Mapping):
        if not {name, "id"} & value.keys():
            raise OllangConfigurationError(
                f"{name} is a mapping without {name!r} or 'id'; it has the keys "
                f"{sorted(map(str, value))[:20]}. Hand on one that has, such as {_article(kind)} with 'id' among its "
                "fields."
            )
        value = value.get(name, value.get("id"))
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64:
        return str(value)
    if not isinstance(value, str):
        # Only its type is shown: an order would bring its links along.
        raise OllangConfigurationError(
            f"{name} must be an Ollang {kind} id, or a mapping with {name!r} or 'id', not "
            f"{'None' if value is None else type(value).__name__}; {_advice_for(name, value)}."
        )
    text = value.strip()
    if _DOCUMENTED_ID.fullmatch(text) and text != "None":
        return text
    if text.startswith(('{"', "{'", "{\n", "[")):
        raise OllangConfigurationError(
            f"{name} {text[:20]!r}… is a whole value rendered as text; hand on `task.output` instead of a "
            f"template, or name the key: \"{{{{ ti.xcom_pull('task')['{name}'] }}}}\"."
        )
    if _URL_PARTS.search(text) or _URL_PARTS.search(_fully_unquoted(text)):
        raise OllangConfigurationError(
            f"{name} is a URL ({_start_of_url(text)}), not an Ollang {kind} id; nothing was sent. Check the key "
            f"in the template it comes from: hand on the {kind}'s 'id'."
        )
    if text in {"", "None", ".", ".."} or "{{" in text or printable(text) != text:
        raise OllangConfigurationError(
            f"{name} {readable(text, 40)!r} is no Ollang {kind} id; check the task or template it comes from."
        )
    # What else an id may hold is not for us to say.
    if re.search(r"[\s,]", text):
        raise OllangConfigurationError(
            f"{name} {text[:40]!r} holds a space or a comma, so it is a name or a list and not an Ollang {kind} "
            f"id; nothing was sent. For several {kind}s use .expand({name}=[...])."
        )
    return text


def _article(noun: str) -> str:
    return f"an {noun}" if noun.startswith("o") else f"a {noun}"


def _fully_unquoted(text: str) -> str:
    """Return a text without any percent-encoding: an encoded link is one, too, however often it was encoded."""
    while (unquoted := unquote(text)) != text:
        text = unquoted
    return text


def _advice_for(name: str, value: object) -> str:
    """Say what to hand on in place of something that is no id."""
    if isinstance(value, list | tuple | set | frozenset):
        return f"for several use .expand({name}=[...]), which makes a task for each"
    if hasattr(value, "task_id") and hasattr(value, "output"):
        return "it is a task itself: hand on its result, `task.output`"
    return "an upstream task may have returned nothing"


def _start_of_url(text: str) -> str:
    """Return what may be shown of a URL: its scheme and host. Its path and query may be a key to a file."""
    scheme, separator, rest = text.partition("://")
    if not separator or not scheme.isalnum():
        return "not shown, it may hold a signature"
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return repr(f"{scheme[:10]}://{host[:60]}/…")


def is_same_id(first: object, second: object) -> bool:
    """
    Tell whether two ids name the same order or project.

    Ids look like MongoDB's, which are 24 hexadecimal digits without case; any other id is compared as it stands.
    """
    if str(first) == str(second):
        return True
    return str(first).casefold() == str(second).casefold() and _OBJECT_ID.fullmatch(str(first)) is not None
