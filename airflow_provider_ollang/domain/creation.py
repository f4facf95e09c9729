"""New orders: what is asked for, and the receipt of the request that creates them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sized
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from airflow_provider_ollang.domain.arguments import nearest_name, parse_count, parse_names, parse_project_id
from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.freshness import Rerun
from airflow_provider_ollang.domain.receipts import PaidReceipt
from airflow_provider_ollang.domain.values import known_fields
from airflow_provider_ollang.exceptions import OllangConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: What can be created; the API knows other types of orders, which it makes itself.
ORDER_TYPES = ("cc", "subtitle", "document", "aiDubbing", "studioDubbing")
ORDER_SUB_TYPES = ("closedCaption", "timecodedTranscription")
DUBBING_STYLES = ("overdub", "lipsync", "audioDescription")
MAX_MEMORIES = 20

_LANGUAGE_CODE = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class OrderSpec:
    """
    What one request asks for: an order of the same kind for each of some languages.

    :param project_id: the project whose file is to be localized.
    :param order_type: one of :data:`ORDER_TYPES`.
    :param languages: codes of the target languages, spelt as they were given.
    :param level: 0 is AI only, 1 is with human review.
    :param rush: whether it is urgent.
    :param options: the other fields of the request's body, under the API's names.
    """

    project_id: str
    order_type: str
    languages: tuple[str, ...]
    level: int = 0
    rush: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(
        cls,
        project_id: object,
        order_type: object,
        target_languages: Iterable[str] | str,
        *,
        level: object = 0,
        rush: bool = False,
        order_sub_type: str | None = None,
        dubbing_style: str | None = None,
        callback_url: str | None = None,
        auto_qc: bool = False,
        memories: Iterable[str] | str | None = None,
    ) -> OrderSpec:
        """
        Read the arguments of :class:`.OllangCreateOrderOperator`, which say what each is.

        :raises OllangConfigurationError: one is wrong; the message names it.
        """
        options = {
            "orderSubType": _parse_name("order_sub_type", order_sub_type, ORDER_SUB_TYPES)
            if _is_given(order_sub_type)
            else None,
            "dubbingStyle": _parse_name("dubbing_style", dubbing_style, DUBBING_STYLES)
            if _is_given(dubbing_style)
            else None,
            "callbackUrl": _parse_callback_url(callback_url) if _is_given(callback_url) else None,
            "autoQc": parse_flag("auto_qc", auto_qc) or None,
            "selectedMemories": _parse_memories(memories) if memories is not None and _is_given(memories) else None,
        }
        return cls(
            project_id=parse_project_id(project_id),
            order_type=_parse_name("order_type", order_type, ORDER_TYPES),
            languages=_parse_languages(target_languages),
            level=parse_count("level", level, 0, 1),
            rush=parse_flag("rush", rush),
            options={name: value for name, value in options.items() if value is not None},
        )

    @property
    def label(self) -> str:
        """What it is, for messages."""
        return f"project {self.project_id} ({self.order_type} in {', '.join(self.languages)})"

    @property
    def subject(self) -> str:
        """What tells it from any other request: readable, with a digest of all but the URL to call."""
        # A set may have another order in another process.
        languages = sorted(self.languages)
        body = self.to_body(languages)
        body.pop("callbackUrl", None)
        if "selectedMemories" in body:
            body["selectedMemories"] = sorted(body["selectedMemories"])
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        return f"{self.order_type} of project {self.project_id} in {', '.join(languages)} (sha256:{digest})"

    def to_body(self, languages: Sequence[str]) -> dict[str, Any]:
        """Return the body of the request for some of its languages."""
        return {
            "projectId": self.project_id,
            "orderType": self.order_type,
            "level": self.level,
            "targetLanguageConfigs": [{"language": language, "isRush": self.rush} for language in languages],
            **self.options,
        }


@dataclass(frozen=True)
class CreationReceipt(PaidReceipt):
    """
    One accepted request for new orders.

    :param subject: :attr:`OrderSpec.subject` of what was asked for.
    :param project_id: the project.
    :param order_type: the type of the orders.
    :param level: their level.
    :param languages: the languages asked for, in that order.
    :param before: ids of orders known before the request.
    :param order_ids: ids that the API has answered so far; some may be of orders that nobody asked for.
    :param orders: the id of the order of each language, as far as it is known.
    :param results: the facts of the finished order of each language whose end was waited for.
    :param deadline: when the wait of this try ends, epoch seconds.
    """

    subject: str
    project_id: str
    order_type: str
    level: int
    languages: list[str]
    before: list[str] = field(default_factory=list)
    order_ids: list[str] = field(default_factory=list)
    orders: dict[str, str] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    deadline: float | None = None

    _operator = "OllangCreateOrderOperator"

    @property
    def missing(self) -> list[str]:
        """The languages whose order is not known."""
        return [language for language in self.languages if language not in self.orders]

    @property
    def unfinished(self) -> list[str]:
        """The languages whose order has no result yet."""
        return [language for language in self.languages if language not in self.results]

    @property
    def unfinished_ids(self) -> list[str]:
        """The known orders that have no result yet."""
        return [self.orders[language] for language in self.unfinished if language in self.orders]

    @property
    def run(self) -> Rerun:
        """The first run of the orders, for telling their results: as a rerun of orders that had nothing."""
        baseline = Baseline.for_new_order(self.level)
        return Rerun(baseline, self.requested_at, seen_running=True, baseline_confirmed=True)

    def language_of(self, code: object) -> str | None:
        """Return the language asked for that the API spells so; case does not count."""
        plain = code.casefold() if isinstance(code, str) else None
        return next((language for language in self.languages if language.casefold() == plain), None)

    def may_be_missing(self, code: object) -> bool:
        """Tell whether the API may mean a missing language by a code: it names the same primary language, or none."""
        missing = {_primary_subtag(language) for language in self.missing}
        return not isinstance(code, str) or _primary_subtag(code) in missing

    def with_orders(self, orders: Mapping[str, str]) -> Self:
        """Return the receipt with the order of each of some languages, and no other ids."""
        return replace(self, orders=dict(orders), order_ids=list(orders.values()))

    def without_orders(self, order_ids: Iterable[str]) -> Self:
        """Return the receipt without some orders: they do not count for any language any more."""
        lost = list(order_ids)
        left = {language: order_id for language, order_id in self.orders.items() if order_id not in lost}
        return replace(self.with_orders(left), before=[*self.before, *lost])

    def with_doubt_about(self, language: str) -> Self:
        """Return the receipt without the order of a language, which counts again as soon as Ollang shows it."""
        left = {other: order_id for other, order_id in self.orders.items() if other != language}
        before = [order_id for order_id in self.before if order_id != self.orders[language]]
        return replace(self, orders=left, before=before)

    def to_xcom(self) -> list[dict[str, Any]]:
        """Return what the task hands on: a dict for each language, in the order asked."""
        return [self._to_entry(language) for language in self.languages]

    def _to_entry(self, language: str) -> dict[str, Any]:
        entry = {
            "order_id": self.orders.get(language),
            "project_id": self.project_id,
            "type": self.order_type,
            "target_language": language,
            "level": self.level,
        }
        result = self.results.get(language)
        return entry if result is None else {**entry, "result": result}

    @classmethod
    def _own_fields(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        common = PaidReceipt.__dataclass_fields__
        return {name: stored for name, stored in known_fields(cls, value).items() if name not in common}


def _primary_subtag(code: str) -> str:
    return re.split("[-_]", code.casefold(), maxsplit=1)[0]


def _is_given(value: object) -> bool:
    """Tell whether an argument has a value; an empty text or collection is none, as a template may make it."""
    return value is not None and not (isinstance(value, Sized) and len(value) == 0)


def _parse_name(name: str, value: object, names: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in names:
        nearest = nearest_name(value, names) if isinstance(value, str) else None
        hint = f" Did you mean {nearest!r}?" if nearest else ""
        raise OllangConfigurationError(f"{name} must be one of {', '.join(names)}, not {value!r:.80}.{hint}")
    return value


def _parse_languages(value: Iterable[str] | str) -> tuple[str, ...]:
    languages = parse_names("target_languages", value)
    seen: dict[str, str] = {}
    for language in languages:
        if not _LANGUAGE_CODE.fullmatch(language):
            raise OllangConfigurationError(
                f"target_languages names {language!r:.80}, which is no language code such as 'fr' or 'pt-PT'. Hand on "
                "a list, or a comma-separated text."
            )
        other = seen.setdefault(language.casefold(), language)
        if other != language:
            raise OllangConfigurationError(f"target_languages names {other!r} and {language!r}: name it once.")
    return tuple(languages)


def parse_flag(name: str, value: object) -> bool:
    """
    Return a flag.

    :raises OllangConfigurationError: it is no ``bool``: the text ``"false"`` would count as true.
    """
    if not isinstance(value, bool):
        raise OllangConfigurationError(f"{name} must be True or False, not {value!r:.80}.")
    return value


def _parse_memories(value: Iterable[str] | str) -> list[str]:
    memories = parse_names("memories", value)
    if len(memories) > MAX_MEMORIES:
        raise OllangConfigurationError(f"memories names {len(memories)}; an order takes {MAX_MEMORIES} at most.")
    return memories


def _parse_callback_url(value: object) -> str:
    """Return a URL that Ollang can call; it is never shown, since it may hold a secret."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or re.search(r"\s", text) or not text.isprintable():
        raise OllangConfigurationError(
            "callback_url must be an http or https URL with a host. It is not shown here, since it may hold a secret."
        )
    return text
