"""What a base model is, and what its folder on disk must hold."""

from typing import Annotated, Literal

from pydantic import BaseModel as Model
from pydantic import ConfigDict, Field

MARKER_NAME = "tailorbird.json"


class _Value(Model):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackageSource(_Value):
    """Weights inside an installed Python package, as one GGUF file; `revision` is that file's sha256."""

    type: Literal["package"] = "package"
    package: str
    file: str


class HubSource(_Value):
    """Weights on the Hugging Face hub; `revision` is the commit they are pinned to."""

    type: Literal["hub"] = "hub"
    repository: str


class BaseModel(_Value):
    """A frozen model that adapters are trained on. The catalogue is a data file: `catalogue.json`."""

    # also a folder name
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.\-]{0,80}$")
    name: str
    num_parameters: int = Field(gt=0)
    num_layers: int = Field(gt=0)
    hidden_size: int = Field(gt=0)
    # of the MLP between its up and its down projection
    intermediate_size: int = Field(gt=0)
    num_heads: int = Field(gt=0)
    # fewer than heads where several share their keys and values (grouped-query attention)
    num_key_value_heads: int = Field(gt=0)
    head_size: int = Field(gt=0)
    # the output head is the table of embeddings itself
    is_head_tied: bool
    vocab_size: int = Field(gt=0)
    context_tokens: int = Field(gt=0)
    license: str
    source: Annotated[PackageSource | HubSource, Field(discriminator="type")]
    revision: str = Field(min_length=40)
    is_default: bool = False
    languages: tuple[str, ...] = ()
    note: str = ""


class MarkedFile(_Value):
    sha256: str
    num_bytes: int


class ModelFolder(_Value):
    """`tailorbird.json` in a prepared model's folder. Written last, so its presence says the folder is whole."""

    id: str
    revision: str
    files: dict[str, MarkedFile]
