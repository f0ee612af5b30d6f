"""Links to objects in somebody else's S3, made without a call: whoever has one reads that one object, for a while.

So the keys of others are needed for a moment only, and the object is read as any other address is.
"""

from dataclasses import dataclass, field

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from core.errors import Invalid


@dataclass(frozen=True, slots=True)
class ForeignObject:
    bucket: str
    key: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    endpoint_url: str | None = None
    """None for Amazon's."""
    region: str | None = None


def sign_get(wanted: ForeignObject, *, expires_s: int) -> str:
    """A URL that reads the object for `expires_s`. Raises `Invalid` for what can be no address of an object."""
    try:
        client = boto3.client(
            "s3",
            endpoint_url=wanted.endpoint_url,
            region_name=wanted.region or "us-east-1",
            aws_access_key_id=wanted.access_key_id,
            aws_secret_access_key=wanted.secret_access_key,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path" if wanted.endpoint_url else "auto"},
            ),
        )
        return str(
            client.generate_presigned_url(
                "get_object", Params={"Bucket": wanted.bucket, "Key": wanted.key}, ExpiresIn=expires_s
            )
        )
    except (BotoCoreError, ValueError) as error:
        # their messages repeat what was given
        raise Invalid(
            "These do not name an object in S3. Check the bucket, the key, the region, and the address of the store "
            "(such as https://s3.example.com).",
            code="invalid_s3_object",
            param="s3",
        ) from error
