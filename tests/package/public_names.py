"""Prints the public names of the provider that is installed; needs nothing else, so that any environment can run it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "airflow_provider_ollang"
KINDS = ("hooks", "operators", "sensors", "transfers", "triggers")
TITLE = """\
Every public name of the provider, with the parameters of its constructor and of its methods: what users' DAGs rely on.
Made by: .venv/bin/python -m tests.package.public_names > tests/package/public_names.txt
"""


def main() -> None:
    """Print them."""
    sys.stdout.write(TITLE + "\n" + "".join(f"{line}\n" for line in public_names()))


def public_names() -> Iterator[str]:
    """Yield a line for each."""
    for module in public_modules():
        for name, cls in sorted(public_classes(module)):
            yield from describe(f"{module.removeprefix(PACKAGE + '.')}.{name}", cls)


def public_modules() -> list[str]:
    """Return every module that a DAG may import from."""
    package = importlib.import_module(PACKAGE)
    found = ["exceptions", "retry_policy", "sandbox"]
    for kind in KINDS:
        folder = str(Path(package.__path__[0]) / kind)
        found += [f"{kind}.{one.name}" for one in pkgutil.iter_modules([folder]) if not one.name.startswith("_")]
    return [f"{PACKAGE}.{name}" for name in sorted(found)]


def public_classes(name: str) -> Iterator[tuple[str, Any]]:
    """Yield the classes that a module offers: those it exports, or those of its own with our prefix."""
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", None)
    for attribute, value in vars(module).items():
        is_ours = attribute.startswith("Ollang") and getattr(value, "__module__", None) == name
        if inspect.isclass(value) and (attribute in exported if exported else is_ours):
            yield attribute, value


def describe(name: str, cls: Any) -> Iterator[str]:
    """Yield the class, the parameters of its constructor, its template fields and its methods."""
    bases = ", ".join(base.__name__ for base in cls.__bases__) if issubclass(cls, Exception) else ""
    yield f"{name} is {bases}" if bases else name
    if not bases or "__init__" in vars(cls):
        yield from (f"    {one}" for one in written(constructor(cls)))
    if hasattr(cls, "template_fields"):
        yield f"    templated: {', '.join(cls.template_fields)}"
    for attribute in sorted(dir(cls)):
        owner = next((one for one in cls.__mro__ if attribute in vars(one)), object)
        if attribute.startswith("_") or not owner.__module__.startswith(PACKAGE):
            continue
        value = inspect.getattr_static(cls, attribute)
        if isinstance(value, property):
            yield f"    .{attribute}"
        elif inspect.isroutine(value):
            found = inspect.signature(getattr(cls, attribute)).parameters
            yield f"    .{attribute}({', '.join(written([one for one in found.values() if one.name != 'self']))})"


def constructor(cls: Any) -> list[inspect.Parameter]:
    """Return the parameters of a constructor, those included that it hands on to a base class of ours."""
    found: dict[str, inspect.Parameter] = {}
    for one in cls.__mro__:
        if "__init__" not in vars(one):
            continue
        own = inspect.signature(one.__init__).parameters
        if not one.__module__.startswith(PACKAGE):
            break
        found = {**own, **{name: value for name, value in found.items() if value.kind is not value.VAR_KEYWORD}}
        if not any(value.kind is value.VAR_KEYWORD for value in own.values()):
            break
    return sorted((value for name, value in found.items() if name != "self"), key=lambda value: value.kind)


def written(parameters: list[inspect.Parameter]) -> list[str]:
    """Write parameters without their types, which may become wider without harm."""
    found: list[str] = []
    for one in parameters:
        if one.kind is one.KEYWORD_ONLY and "*" not in found and not any(name.startswith("*") for name in found):
            found.append("*")
        # A sentinel is shown by its name: where it is defined is nobody's business.
        default = one.default.name if isinstance(one.default, Enum) else repr(one.default)
        shown = str(one.replace(annotation=one.empty, default=one.empty))
        found.append(shown if one.default is one.empty else f"{shown}={default}")
    return found


if __name__ == "__main__":
    main()
