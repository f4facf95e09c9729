"""Which waits may start in the triggerer without a worker: those whose arguments Airflow can render there."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import jinja2
from airflow.triggers.base import BaseTrigger
from jinja2 import meta

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Only parses: what it would render is never asked for.
_TEMPLATES = jinja2.Environment()  # noqa: S701
#: What a template may use: anything else is missing in the triggerer, or makes it wait for itself for ever.
_RENDERABLE = frozenset(
    {
        "dag_run",
        "data_interval_end",
        "data_interval_start",
        "ds",
        "logical_date",
        "params",
        "run_id",
        "ts",
    }
)


def unsupported_reason(rendered: Mapping[str, Any], fixed: Mapping[str, Any], *, has_rerun: bool) -> str | None:
    """
    Return why a wait cannot start in the triggerer; ``None`` if it can.

    :param rendered: the arguments that Airflow renders there, by name.
    :param fixed: the arguments that may be templates, but are not rendered there.
    :param has_rerun: whether a rerun's receipt is among them: it always comes from another task.
    """
    if not hasattr(BaseTrigger, "render_template_fields"):
        return "this version of Airflow renders no templates in the triggerer"
    if has_rerun:
        return "the receipt of a rerun comes from another task"
    for name, value in rendered.items():
        if not isinstance(value, str | int):
            return f"{name} comes from another task"
        if variables := _not_renderable(str(value)):
            return f"{name} is a template over {variables}, which the triggerer cannot render"
    for name, value in fixed.items():
        if not isinstance(value, str | Collection) or "{{" in str(value) or "{%" in str(value):
            return f"{name} is a template"
    return None


def _not_renderable(template: str) -> str | None:
    try:
        variables = meta.find_undeclared_variables(_TEMPLATES.parse(template))
    except jinja2.TemplateError:
        return "something that is no template"
    return ", ".join(sorted(variables - _RENDERABLE)) or None
