"""Where artifacts are: in the bucket of the tenant whose request it is, below ``mlflow/``, wherever a path may point.

MLflow's server has one place for all, and finds a tenant's part of it by the paths that it keeps, some of which its clients may write. Here the
bucket follows from the request alone, so that no path leads to another tenant's.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import AsyncIterable
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlparse

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.artifact_repo import ArtifactRepository, StreamUploadMixin
from mlflow.store.artifact.artifact_repository_registry import get_registered_artifact_repositories
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository
from mlflow.utils.workspace_context import get_request_workspace

from modules.ml.tracking.inside.places import FOLDER, PREFIX, SCHEME

_ABSENT: Final = "An error occurred (404) when calling the HeadObject"
"""What boto3 says of an object that is not there."""


@lru_cache(maxsize=1024)
def _bucket(tenant: str, path: str) -> S3ArtifactRepository:
    return S3ArtifactRepository(
        posixpath.join(f"s3://{os.environ[PREFIX]}{tenant}", os.environ[FOLDER], path)
    )


class TenantArtifacts(ArtifactRepository, StreamUploadMixin):  # type: ignore[misc]
    """Artifacts of whoever asks. Raises MlflowException where nobody does."""

    def __init__(
        self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self._path = urlparse(artifact_uri).path.strip("/")

    def _own(self) -> S3ArtifactRepository:
        tenant = get_request_workspace()
        if not tenant:
            raise MlflowException("artifacts are a tenant's", PERMISSION_DENIED)
        return _bucket(tenant, self._path)

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Keep a file."""
        self._own().log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Keep a folder."""
        self._own().log_artifacts(local_dir, artifact_path)

    def log_artifact_from_stream(
        self, stream: IO[bytes], artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        """Keep what comes, without having all of it here."""
        own = self._own()
        bucket, root = own.parse_s3_compliant_uri(own.artifact_uri)
        key = posixpath.join(root, artifact_path or "", Path(artifact_file_name).name)
        own._get_s3_client().upload_fileobj(stream, bucket, key)

    async def log_artifact_from_async_stream(
        self, chunks: AsyncIterable[bytes], artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        """For servers that this is none of."""
        raise NotImplementedError

    def list_artifacts(self, path: str | None = None) -> Any:
        """What is in a folder."""
        return self._own().list_artifacts(path)

    def download_artifacts(self, artifact_path: str, dst_path: str | None = None) -> Any:
        """A file or folder, into a folder here. What is not there is told so: for a fault of the server clients would ask again for minutes."""
        try:
            return self._own().download_artifacts(artifact_path, dst_path)
        except MlflowException as problem:
            if _ABSENT not in str(problem):
                raise
            raise MlflowException(f"{artifact_path} is not there", RESOURCE_DOES_NOT_EXIST) from problem

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._own()._download_file(remote_file_path, local_path)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Take a file or folder away."""
        self._own().delete_artifacts(artifact_path)


def keep_to_tenants() -> None:
    """From here on this process opens tenants' own artifacts and nothing else: no file, no other bucket, no other server."""
    kinds = get_registered_artifact_repositories()
    kinds.clear()
    kinds[SCHEME] = TenantArtifacts
