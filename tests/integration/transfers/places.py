"""Places to deliver to, one for each kind of store."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec import AbstractFileSystem, register_implementation  # type: ignore[import-untyped]
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from tests.integration.transfers.stores import StrictFileSystem


@dataclass(frozen=True)
class Place:
    """
    Where to deliver to.

    :param url: the destination.
    :param fs: what is behind it.
    :param missing: a destination in a bucket that does not exist; None where there are no buckets.
    """

    url: str
    fs: AbstractFileSystem
    missing: str | None = None

    def files(self) -> dict[str, bytes]:
        """Return all that is there, by its path below the destination; hidden files too."""
        root = ObjectStoragePath(self.url).path.rstrip("/")
        self.fs.invalidate_cache()
        if isinstance(self.fs, StrictFileSystem):
            return {key.removeprefix(f"{root}/"): content for key, content in self.fs.objects.items()}
        found = self.fs.find(root) if self.fs.exists(root) else []
        return {path.lstrip("/").removeprefix(f"{root.lstrip('/')}/"): self.fs.cat_file(path) for path in found}

    def final(self) -> dict[str, bytes]:
        """Return what is there under a final name."""
        return {path: content for path, content in self.files().items() if not path.startswith(".ollang-")}


def make_place(kind: str, tmp_path: Path, address: str) -> Place:
    """
    Make a place for one test.

    :param kind: of the store.
    :param tmp_path: of the test.
    :param address: of the store's server, where it has one.
    """
    if kind in REMOTE:
        name = f"bucket-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
        fs = REMOTE[kind](address)
        fs.mkdir(name)
        attach(kind, "conn", fs=fs)
        # The host of an address of SFTP is none of its path.
        bucket = f"{kind}://conn@{address.partition(':')[0]}/{name}" if kind == "sftp" else f"{kind}://conn@{name}"
        return Place(f"{bucket}/delivered", fs, None if kind == "sftp" else f"{bucket}-missing/delivered")
    if kind == "local":
        return Place(f"file://{tmp_path}/out", ObjectStoragePath(f"file://{tmp_path}").fs)
    if kind == "memory":
        memory = MemoryFileSystem(skip_instance_cache=True)
        memory.store, memory.pseudo_dirs = {}, [""]
        attach("memory", fs=memory)
        return Place("memory://delivered/here", memory)
    register_implementation("strict", StrictFileSystem, clobber=True)
    strict = StrictFileSystem()
    attach("strict", fs=strict)
    return Place("strict://delivered/here", strict)


def _s3(address: str) -> AbstractFileSystem:
    s3fs = importlib.import_module("s3fs")
    return s3fs.S3FileSystem(key="k", secret="s", endpoint_url=address, skip_instance_cache=True)


def _google(address: str) -> AbstractFileSystem:
    # The class at the top of the package asks Google by gRPC what kind of bucket it is.
    gcsfs = importlib.import_module("gcsfs.core")
    return gcsfs.GCSFileSystem(project="p", token="anon", endpoint_url=address, skip_instance_cache=True)


def _azure(address: str) -> AbstractFileSystem:
    adlfs = importlib.import_module("adlfs")
    return adlfs.AzureBlobFileSystem(connection_string=address, skip_instance_cache=True)


def _sftp(address: str) -> AbstractFileSystem:
    sshfs = importlib.import_module("sshfs")
    host, _, port = address.partition(":")
    return sshfs.SSHFileSystem(host, port=int(port), username="user", skip_instance_cache=True)


#: By the scheme of their URLs.
REMOTE: dict[str, Callable[[str], AbstractFileSystem]] = {"s3": _s3, "gs": _google, "abfs": _azure, "sftp": _sftp}
