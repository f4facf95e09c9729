"""What Airflow knows about the provider: valid, complete, seen by Airflow, and the same for old and new forms."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from importlib.metadata import distribution, entry_points
from importlib.resources import files
from types import ModuleType
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from airflow.api_fastapi.core_api.datamodels.connections import ConnectionHookMetaData
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
from airflow.providers_manager import ProvidersManager

import airflow_provider_ollang
from airflow_provider_ollang import __version__
from airflow_provider_ollang.get_provider_info import CONNECTION_FIELDS, DEFAULT_HOST, get_provider_info
from airflow_provider_ollang.hooks.ollang import OllangHook
from tests.installed_airflow import needs_form_metadata, needs_forms_without_hooks

NAME = "airflow-provider-ollang"
EXTRAS = ["timeout", "max_attempts", "verify", "ca_bundle", "proxy", "allow_http"]


def schema(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files("airflow") / name).read_text())
    return content


def connection_type() -> dict[str, Any]:
    (only,) = get_provider_info()["connection-types"]
    found: dict[str, Any] = only
    return found


# --- The metadata -------------------------------------------------------------------------------------------------


def test_metadata_is_valid_for_airflow() -> None:
    info = json.loads(json.dumps(get_provider_info()))
    assert info == get_provider_info()
    known = schema("provider_info.schema.json")
    jsonschema.validate(info, known)
    # The schema lets unknown names pass, and Airflow then overlooks them.
    assert set(info) - {"versions", "integrations"} <= set(known["properties"])


@needs_forms_without_hooks
def test_connection_type_is_valid_for_airflow() -> None:
    known = schema("provider.yaml.schema.json")["properties"]["connection-types"]
    jsonschema.validate(get_provider_info()["connection-types"], known)
    assert set(connection_type()) <= set(known["items"]["properties"])
    field = known["items"]["properties"]["conn-fields"]["additionalProperties"]["properties"]["schema"]
    for name, each in connection_type()["conn-fields"].items():
        assert set(each["schema"]) <= set(field["properties"]), name


def test_version_is_everywhere_the_same() -> None:
    assert get_provider_info()["versions"] == [__version__]
    assert distribution(NAME).version == __version__
    assert get_provider_info()["package-name"] == NAME == distribution(NAME).metadata["Name"]


def test_entry_point_returns_the_metadata() -> None:
    (point,) = (each for each in entry_points(group="apache_airflow_provider") if each.dist and each.dist.name == NAME)
    assert point.name == "provider_info"
    assert point.load()() == get_provider_info()


def named_modules() -> set[str]:
    info = get_provider_info()
    kinds = ("hooks", "operators", "sensors", "triggers", "transfers")
    rows = [row for kind in kinds for row in info.get(kind, [])]
    return {module for row in rows for module in row.get("python-modules", [row.get("python-module")])}


def test_metadata_names_every_public_module() -> None:
    there = set()
    for kind in ("hooks", "operators", "sensors", "triggers", "transfers"):
        folder = f"{airflow_provider_ollang.__path__[0]}/{kind}"
        there |= {f"airflow_provider_ollang.{kind}.{module.name}" for module in pkgutil.iter_modules([folder])}
    assert {name for name in there if not name.rpartition(".")[2].startswith("_")} == named_modules()
    module, _, hook = connection_type()["hook-class-name"].rpartition(".")
    assert getattr(importlib.import_module(module), hook) is OllangHook


def test_metadata_names_the_integration_of_every_module() -> None:
    info = get_provider_info()
    known = {each["integration-name"] for each in info["integrations"]}
    for kind in ("hooks", "operators", "sensors", "triggers"):
        assert {row["integration-name"] for row in info.get(kind, [])} <= known


def test_metadata_is_read_without_airflow_and_hooks() -> None:
    """Airflow reads it in every process it starts."""
    code = (
        "import sys, airflow_provider_ollang.get_provider_info as module; module.get_provider_info();"
        "print([name for name in sys.modules if name.split('.')[0] in {'airflow', 'requests', 'aiohttp'}"
        " or name.startswith('airflow_provider_ollang.hooks')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- What Airflow makes of it -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def form() -> ConnectionHookMetaData:
    """The form as the API serves it to the UI."""
    (found,) = (each for each in HookMetaService.hook_meta_data() if each.connection_type == "ollang")
    return found


@needs_forms_without_hooks
def test_airflow_sees_the_provider() -> None:
    manager: Any = ProvidersManager()  # type: ignore[no-untyped-call]
    assert manager.providers[NAME].version == __version__
    ours = [each for each in manager.iter_connection_type_hook_ui_metadata() if each.connection_type == "ollang"]
    assert [(each.hook_name, each.hook_class_name) for each in ours] == [
        ("Ollang", "airflow_provider_ollang.hooks.ollang.OllangHook")
    ]


def test_form_has_these_standard_fields(form: ConnectionHookMetaData) -> None:
    assert form.hook_name == "Ollang"
    fields: Any = form.standard_fields
    assert (fields.login.hidden, fields.url_schema.hidden, fields.description) == (True, True, None)
    assert (fields.password.hidden, fields.password.title) == (False, "API key")
    assert (fields.host.hidden, fields.host.title, fields.host.placeholder) == (False, "Base URL", DEFAULT_HOST)
    # Airflow's Test button fails without a port, so it stays, with the each to enter.
    assert (fields.port.hidden, fields.port.placeholder) == (False, "443")


@needs_form_metadata
def test_form_has_these_extra_fields(form: ConnectionHookMetaData) -> None:
    assert form.extra_fields is not None
    assert list(form.extra_fields) == EXTRAS == [each.name for each in CONNECTION_FIELDS]
    facts = {name: (field["schema"]["type"], field["value"]) for name, field in form.extra_fields.items()}
    assert facts == {
        "timeout": (["number", "null"], 30),
        "max_attempts": (["integer", "null"], 5),
        "verify": (["boolean", "null"], True),
        "ca_bundle": (["string", "null"], None),
        "proxy": (["string", "null"], None),
        "allow_http": (["boolean", "null"], False),
    }
    limits = {
        name: (each["schema"].get("minimum"), each["schema"].get("maximum")) for name, each in form.extra_fields.items()
    }
    assert limits == {"timeout": (1, 600), "max_attempts": (1, 20)} | dict.fromkeys(EXTRAS[2:], (None, None))
    for name, field in form.extra_fields.items():
        assert field["schema"]["title"], name
        assert field["description"], name
        jsonschema.validate(field["value"], field["schema"])
        jsonschema.validate(None, field["schema"])


# --- The form of Airflow 3.1 --------------------------------------------------------------------------------------


@pytest.fixture
def widgets(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The widgets as Airflow 3.1 gets them.

    wtforms is no dependency of Airflow 3: where it is absent, its API server puts classes of its own in the module's
    place, the same that are still in 3.3, and reads from them what it serves to the UI.
    """
    module = ModuleType("wtforms")
    for kind in ("String", "Integer", "Password", "Boolean"):
        setattr(module, f"{kind}Field", getattr(HookMetaService, f"Mock{kind}Field"))
    validators = ModuleType("wtforms.validators")
    validators.Optional = HookMetaService.MockOptional  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wtforms", module)
    monkeypatch.setitem(sys.modules, "wtforms.validators", validators)
    return {name: field.param.dump() for name, field in OllangHook.get_connection_form_widgets().items()}


def test_old_form_agrees_with_the_new_one(form: ConnectionHookMetaData, widgets: dict[str, Any]) -> None:
    assert form.extra_fields is not None
    assert list(widgets) == list(form.extra_fields)
    for name, new in form.extra_fields.items():
        old = widgets[name]
        assert old["schema"]["title"] == new["schema"]["title"]
        assert old["description"] == new["description"]
        # wtforms as Airflow imitates it has no numbers with a fraction.
        kind = "string" if new["schema"]["type"][0] == "number" else new["schema"]["type"][0]
        assert old["schema"]["type"] == [kind, "null"]
        # None where Airflow finds that the default is not of the field's type.
        assert str(old["value"]) == str(new["value"]), name


def test_old_behaviour_agrees_with_the_new_one() -> None:
    behaviour = OllangHook.get_ui_field_behaviour()
    jsonschema.validate(behaviour, schema("customized_form_field_behaviours.schema.json"))
    assert behaviour == {
        name.replace("-", "_"): value for name, value in connection_type()["ui-field-behaviour"].items()
    }
    assert set(behaviour) == {"hidden_fields", "relabeling", "placeholders"}


def test_hook_says_the_same_as_the_metadata() -> None:
    assert OllangHook.conn_type == connection_type()["connection-type"]
    assert OllangHook.hook_name == connection_type()["hook-name"]
    assert OllangHook.conn_name_attr == "ollang_conn_id"
    assert OllangHook.default_conn_name == "ollang_default"
    named: dict[str, Any] = {OllangHook.conn_name_attr: "other"}
    assert OllangHook(**named).ollang_conn_id == "other"
    assert OllangHook().ollang_conn_id == "ollang_default"
