"""A delivery to S3 whose process is killed, anywhere, and tried again."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.transfers._ledger import STATE_KEY
from tests.integration.transfers.conftest import Place, make_place
from tests.integration.transfers.tries import (
    Try,
    asked_for,
    beginning,
    order_of,
    statuses,
    told,
    wanted_of,
)

#: More than the provider lets S3's client hold back, so that each file goes up in parts.
SIZE = 9_000_000
NAMES = ("a", "b", "c")
Begin = Callable[..., Try]


@pytest.fixture
def ollang() -> Iterator[Sandbox]:
    """A sandbox in real time."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def bucket(tmp_path: Path, s3: str) -> Place:
    return make_place("s3", tmp_path, s3)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the task's state is kept."""
    return tmp_path / "state.json"


@pytest.fixture
def begin(ollang: Sandbox, state: Path, bucket: Place, s3: str) -> Iterator[Begin]:
    with beginning(ollang, state) as begin:
        yield lambda order_id, **env: begin({"order_id": order_id, "destination": bucket.url}, S3=s3, **env)


def uploads(bucket: Place) -> dict[str, str]:
    """Return the key of each upload that was begun and not ended, by its id."""
    answer = bucket.fs.call_s3("list_multipart_uploads", Bucket=name_of(bucket))
    return {one["UploadId"]: one["Key"] for one in answer.get("Uploads", [])}


def name_of(bucket: Place) -> str:
    return bucket.url.partition("@")[2].partition("/")[0]


def held(bucket: Place) -> int:
    """Return how many bytes S3 has, of objects and of parts of uploads."""
    bucket.fs.invalidate_cache()
    total: int = sum(one["size"] for one in bucket.fs.find(name_of(bucket), detail=True).values())
    for upload, key in uploads(bucket).items():
        # It may have been ended since.
        with suppress(FileNotFoundError):
            parts = bucket.fs.call_s3("list_parts", Bucket=name_of(bucket), Key=key, UploadId=upload)
            total += sum(part["Size"] for part in parts.get("Parts", []))
    return total


def is_aside(key: str) -> bool:
    return key.rpartition("/")[0].rpartition("/")[2].startswith(".ollang-")


def final(bucket: Place) -> dict[str, str]:
    """Return the SHA-256 of what is there under a final key."""
    return {
        path.rpartition("/")[2]: hashlib.sha256(content).hexdigest()
        for path, content in bucket.files().items()
        if not is_aside(path)
    }


def what_is_there(bucket: Place) -> set[str]:
    files = bucket.files()
    kinds = {"aside" if is_aside(path) else "final" for path in files}
    return kinds | ({"upload"} if uploads(bucket) else set())


def noted_in(state: Path) -> set[str]:
    """Return the files that are on record as delivered."""
    stored = json.loads(state.read_text()) if state.exists() else {STATE_KEY: {"files": {}}}
    return {file_name for _, file_name, *_ in stored[STATE_KEY]["files"].values()}


def try_again(ollang: Sandbox, bucket: Place, begin: Begin, order_id: str, state: Path) -> set[str]:
    """Check what the killed try has left, and that the next one brings the rest; return what had been noted."""
    whole = wanted_of(ollang, order_id, NAMES)
    there, asked = final(bucket), len(asked_for(ollang))
    noted = noted_in(state)
    assert there.items() <= whole.items()
    ollang.remove_faults()
    manifest = begin(order_id).result()["manifest"]
    assert told(manifest) == whole
    assert final(bucket) == whole
    assert len(bucket.files()) == len(whole)
    # Nobody sees what the killed process had begun, but S3 keeps and bills it until somebody ends it.
    assert uploads(bucket) == {}
    # What was noted is not brought again.
    again = asked_for(ollang)[asked:]
    assert sorted(f"{name}.mp4" for name in again) == sorted(whole.keys() - noted)
    # Each asks for a whole file at most, so that fewer than twice their number is fewer than twice their bytes.
    assert len(asked_for(ollang)) < 2 * len(NAMES)
    return noted


def test_killed_at_once(ollang: Sandbox, bucket: Place, begin: Begin, state: Path) -> None:
    """With SIGKILL, in the middle of all of it."""
    order_id = order_of(ollang, SIZE, names=NAMES, rate=9_000_000)
    killed = begin(order_id)
    killed.wait_for(lambda: held(bucket) > 0.3 * SIZE * len(NAMES))
    killed.end(signal.SIGKILL)
    try_again(ollang, bucket, begin, order_id, state)


#: By events of botocore: where the process dies, what there is then beside what its other thread may have done, and
#: what the next try gets from the file's host for that file.
POINTS = {
    "one of its two parts is there": ("before-call.s3.UploadPart", {"upload"}, [206]),
    "its parts are there, the object is not": ("before-call.s3.CompleteMultipartUpload", {"upload"}, [206]),
    "whole under both keys": ("after-call.s3.CopyObject", {"aside", "final"}, [206]),
    "whole under both keys, and on record": ("before-call.s3.DeleteObject", {"aside", "final"}, []),
}


@pytest.mark.parametrize("point", ["whole under both keys"])
def test_killed_between_two_requests(ollang: Sandbox, bucket: Place, begin: Begin, state: Path, point: str) -> None:
    """At the last file, when others have been noted."""
    order_id = order_of(ollang, SIZE, names=NAMES)
    event, expected, _ = POINTS[point]
    killed = begin(order_id, DEATH=json.dumps({"at": event, "number": len(NAMES)}))
    killed.end()
    assert killed.process.returncode == -signal.SIGKILL
    assert what_is_there(bucket) >= expected
    assert try_again(ollang, bucket, begin, order_id, state)


@pytest.mark.parametrize("point", POINTS)
def test_a_single_file(ollang: Sandbox, bucket: Place, begin: Begin, point: str) -> None:
    order_id = order_of(ollang, SIZE, names=("a",))
    event, expected, answers = POINTS[point]
    killed = begin(order_id, DEATH=json.dumps({"at": event, "number": 2 if "UploadPart" in event else 1}))
    killed.end()
    assert killed.process.returncode == -signal.SIGKILL
    assert what_is_there(bucket) == expected
    manifest = begin(order_id).result()["manifest"]
    assert told(manifest) == final(bucket) == wanted_of(ollang, order_id, ("a",))
    assert statuses(ollang) == [200, *answers]
    assert len(bucket.files()) == 1
    assert uploads(bucket) == {}


def test_killed_in_the_copy_of_a_large_file(ollang: Sandbox, bucket: Place, begin: Begin, state: Path) -> None:
    """S3 copies it as an upload to the final key."""
    order_id = order_of(ollang, SIZE, names=("a",))
    death = {"at": "before-call.s3.UploadPartCopy", "number": 1}
    killed = begin(order_id, DEATH=json.dumps(death), LARGE_COPY=str(SIZE // 2))
    killed.end()
    assert killed.process.returncode == -signal.SIGKILL
    assert what_is_there(bucket) == {"aside", "upload"}
    assert not any(is_aside(key) for key in uploads(bucket).values())
    manifest = begin(order_id, LARGE_COPY=str(SIZE // 2)).result()["manifest"]
    assert told(manifest) == final(bucket) == wanted_of(ollang, order_id, ("a",))
    assert uploads(bucket) == {}
