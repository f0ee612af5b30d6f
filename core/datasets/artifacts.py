"""A version as files in the object store: what a copy of the database could be built from again."""

from pydantic import BaseModel, ConfigDict


class ArtifactFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    key: str
    sha256: str
    num_bytes: int


class VersionArtifact(BaseModel):
    """Who finds the manifest finds every file that it names, whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest_key: str
    manifest_sha256: str
    files: list[ArtifactFile]


def key_prefix(workspace_id: str, dataset_id: str, version_id: str) -> str:
    return f"workspaces/{workspace_id}/datasets/{dataset_id}/versions/{version_id}/"
