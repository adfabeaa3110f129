"""Bodies of assets, and how messages name them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from api.core import assets
from api.core.file_kinds import MediaType
from api.http.fields import EXAMPLE_ASSET, FileName, Time
from api.http.schemas.base import In, Out

_Type = Annotated[MediaType, Field(examples=["image/png"])]
_Size = Annotated[int, Field(ge=0, examples=[48_213], description="In bytes.")]


def _is_id(value: object) -> object:
    if not isinstance(value, str) or not assets.is_id(value):
        raise PydanticCustomError("asset", "This is no id of an asset")
    return value


AssetId = Annotated[str, BeforeValidator(_is_id), Field(examples=[EXAMPLE_ASSET])]


class Asset(Out):
    """A file that was uploaded."""

    id: str = Field(examples=[EXAMPLE_ASSET])
    name: str = Field(examples=["cat.png"])
    type: _Type = Field(
        validation_alias="media_type", description="What its bytes are, whatever it was called."
    )
    size: _Size
    created_at: Time


class Assets(Out):
    """Some of an account's files."""

    assets: list[Asset]
    total_bytes: int = Field(examples=[48_213], description="Of all files of the account.")
    most_bytes: int = Field(examples=[1_073_741_824], description="What these may be; 0: any.")
    file_most_bytes: int = Field(examples=[10_485_760], description="What one may have.")


class Attachment(In):
    """A file of a message, as its `extra.attachments` has it."""

    id: AssetId
    name: FileName
    type: Literal[MediaType]
    size: _Size
