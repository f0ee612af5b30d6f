"""What people and models say, as Postgres can hold it."""

from typing import TypeVar, cast

_UNSTORABLE = "\0"

Value = TypeVar("Value")


def storable(value: Value) -> Value:
    """A JSON value with the replacement character for NUL, which a model may write and Postgres cannot hold."""
    kept: object = value
    if isinstance(value, str):
        kept = value.replace(_UNSTORABLE, "\N{REPLACEMENT CHARACTER}")
    elif isinstance(value, dict):
        kept = {storable(key): storable(item) for key, item in value.items()}
    elif isinstance(value, list):
        kept = [storable(item) for item in value]
    return cast("Value", kept)
