"""Projects and folders: what an upload makes, what is there at the start, and what is shown of them."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.sandbox import lists
from airflow_provider_ollang.sandbox.clock import to_iso
from airflow_provider_ollang.sandbox.documents import new_id
from airflow_provider_ollang.sandbox.order import OWN
from airflow_provider_ollang.sandbox.uploads import MEDIA, Upload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_ollang.sandbox.options import Behaviour

Json = dict[str, Any]
#: Where the projects are that a request names no folder for.
DEFAULT_FOLDER = "folder_api_uploads"
FOREIGN_PROJECT_ID = "proj_foreign"
ORDERED_BY = ("id", "name", "createdAt", "sourceLanguage")
FOLDERS_ORDERED_BY = ("id", "name", "createdAt")
_DAY = 24 * 3_600_000
_OBJECT_ID = re.compile(r"[0-9a-f]{24}")


@dataclass(slots=True)
class Project:
    """A project, and the upload that made it.

    :param body: as a GET shows it, without the count of its orders.
    :param created: the moment.
    """

    id: str
    owner: str
    body: Json
    created: int
    upload: Upload

    def report(self) -> Json:
        """Return it for the admin API: what was uploaded, and what was asked for."""
        return {
            "id": self.id,
            "owner": self.owner,
            "name": self.body["name"],
            "filename": self.upload.filename,
            "bytes": self.upload.size,
            "sha256": self.upload.sha256,
            "url": self.upload.url,
            "sourceLanguage": self.body["sourceLanguage"],
            "folderId": self.body["folderId"],
            "createdAt": self.body["createdAt"],
            "asked": copy.deepcopy(self.upload.fields),
        }


def from_upload(project_id: str, upload: Upload, behaviour: Behaviour, now: int, owner: str = OWN) -> Project:
    """Return the project that an accepted upload makes."""
    fields, filename = upload.fields, str(upload.filename)
    name = str(fields["name"])
    suffix = PurePosixPath(filename).suffix
    if behaviour.project_names == "with_extension" and not name.lower().endswith(suffix.lower()):
        name += suffix
    created, folder = to_iso(now), fields.get("folderId") or DEFAULT_FOLDER
    document = {
        "id": new_id("doc", project_id, "source"),
        "name": name,
        "url": f"https://example.com/sources/{project_id}{suffix.lower()}",
        "type": _document_type(upload.extension),
        "size": upload.size,
        **({"duration": 1320} if upload.extension in MEDIA else {"wordCount": 1040}),
        "sourceLanguage": fields["sourceLanguage"],
        "createdAt": created,
        "updatedAt": created,
        "clientId": lists.CLIENT,
        "projectId": project_id,
        "folderId": folder,
    }
    body = {
        "id": project_id,
        "name": name,
        "sourceLanguage": fields["sourceLanguage"],
        "createdAt": created,
        "folderId": folder,
        "projectDocs": [document],
    }
    return Project(project_id, owner, body, now, upload)


def _document_type(extension: str) -> str:
    if extension in MEDIA:
        return "source_video"
    return "source_srt" if extension == "srt" else "source_document"


def start_projects(behaviour: Behaviour, now: int) -> list[Project]:
    """Return the projects of a fresh sandbox: those that its orders name, and another account's."""
    projects = []
    for project_id, name, owner in (
        ("proj_xyz789", "Sample Project - Episode 1", OWN),
        ("proj_abc456", "Sandbox project", OWN),
        (FOREIGN_PROJECT_ID, "Another customer's project", "other"),
    ):
        fields = {"name": name, "sourceLanguage": "en", "folderId": "folder_abc123"}
        upload = Upload(fields, "source.mp4", 1_073_741_824)
        projects.append(from_upload(project_id, upload, behaviour, now - 2 * _DAY, owner))
    return projects


def start_folders(now: int) -> dict[str, Json]:
    """Return the folders, by id; their projects are not counted yet."""
    rows = (("folder_abc123", "Default", "#4F46E5", "default"), (DEFAULT_FOLDER, "API Uploads", "#0EA5E9", "api"))
    return {
        folder_id: {"id": folder_id, "name": name, "hexColor": color, "type": kind, "createdAt": to_iso(now - 2 * _DAY)}
        for folder_id, name, color, kind in rows
    }


def folder_rows(folders: Iterable[Json], projects: Iterable[Project]) -> list[Json]:
    """Return the rows of the list of folders."""
    places = [project.body["folderId"] for project in projects if project.owner == OWN]
    return [{**folder, "projectCount": places.count(folder["id"])} for folder in folders]


def is_well_formed(project_id: str) -> bool:
    """Tell whether a project's id is of the documented format."""
    return _OBJECT_ID.fullmatch(project_id) is not None
