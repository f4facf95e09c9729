"""The pages of Airflow's UI, as far as the tests use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


#: The connection that is typed in once for all DAGs.
TYPED = "ollang_default"


class Connections:
    """Admin → Connections."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self) -> Connections:
        self.page.goto("/connections")
        return self

    def row(self, name: str) -> Locator:
        return self.page.get_by_role("row").filter(has=self.page.get_by_role("cell", name=name, exact=True))

    def test(self, name: str) -> tuple[int, dict[str, Any]]:
        """Press the Test button; return what Airflow's server answers."""
        with self.page.expect_response("**/api/v2/connections/test") as answer:
            self.row(name).get_by_role("button", name="Test Connection").click()
        return answer.value.status, answer.value.json()

    @property
    def notice(self) -> Locator:
        return self.page.get_by_role("region", name="Notifications")


class ConnectionForm:
    """The form behind "Add Connection" and the pencil."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.dialog = page.get_by_role("dialog")

    @classmethod
    def add(cls, page: Page, name: str) -> ConnectionForm:
        """Begin a connection of our type, typing its name."""
        Connections(page).open()
        page.get_by_role("button", name="Add Connection").click()
        form = cls(page)
        form.dialog.get_by_label("Connection ID").fill(name)
        form.dialog.get_by_role("combobox").click()
        page.keyboard.type("Ollang")
        form.dialog.get_by_role("option", name="Ollang", exact=True).click()
        return form

    @classmethod
    def edit(cls, page: Page, name: str) -> ConnectionForm:
        Connections(page).row(name).get_by_role("button", name="Edit Connection").click()
        form = cls(page)
        expect(form.dialog.get_by_label("Connection ID")).to_have_value(name)
        return form

    def field(self, label: str) -> Locator:
        return self.dialog.get_by_label(label)

    def fill(self, label: str, value: str) -> None:
        self.field(label).fill(value)

    def show_extra_fields(self) -> None:
        self.dialog.get_by_role("button", name="Extra Fields", exact=True).click()

    def extra_field(self, label: str) -> Locator:
        """Return one of our own fields with its label and help: the form links a label to some kinds of input only."""
        return self.dialog.get_by_role("group").filter(has=self.page.get_by_text(label, exact=True)).first

    def fill_extra(self, label: str, value: str) -> None:
        field = self.extra_field(label).get_by_role("textbox").or_(self.extra_field(label).get_by_role("spinbutton"))
        field.fill(value)
        # The form takes a number over when it is left.
        field.blur()

    def save(self) -> None:
        self.dialog.get_by_role("button", name="Save").click()
        expect(self.dialog).to_be_hidden()


def open_run(page: Page, dag_id: str, run_id: str, place: str = "") -> None:
    """Open a run, or a place in it such as `tasks/my_task/xcom`."""
    page.goto("/".join(filter(None, [f"/dags/{dag_id}/runs/{quote(run_id)}", place])))


def open_log(page: Page, dag_id: str, run_id: str, task_id: str) -> None:
    open_run(page, dag_id, run_id, f"tasks/{task_id}")
    expect(page.get_by_text("Log message source details")).to_be_visible()


def grid_cell(page: Page, run_id: str, task_id: str) -> Locator:
    return page.get_by_test_id(f"grid-{run_id}-{task_id}")


def pointed_at(page: Page, run_id: str, task_id: str) -> Locator:
    """Point at a task's cell in the grid; return the tooltip, which says in words what the cell shows by its colour."""
    # The tooltip of the cell that was pointed at before covers this one.
    page.mouse.move(0, 0)
    grid_cell(page, run_id, task_id).hover()
    return page.get_by_role("tooltip", name=f"Task ID: {task_id} ").filter(visible=True)


def error_in_log(page: Page, kind: str) -> Locator:
    """Return the words of an error in a log, with its traceback folded."""
    words = page.get_by_test_id(f"summary-{kind}")
    expect(words).to_be_visible()
    words.click()
    return words
