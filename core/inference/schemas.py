"""Which JSON schemas an answer can be made to keep to, and which are refused: by keyword, and by place.

What makes sure of a schema is the grammar engine of the runtime. Its limits are here, so that a schema is refused
before anybody looks for a model, with the place in it. What only the engine can tell (a pattern that is none, parts
that exclude each other), it tells when it reads the schema.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final
from urllib.parse import unquote

from core.errors import Invalid

MAX_BYTES: Final = 128 << 10
# of schemas inside of schemas
MAX_DEPTH: Final = 32
# each property that may be missing is one more way to go on, at each of the others
MAX_PROPERTIES: Final = 256
MAX_SCHEMAS: Final = 5_000
MAX_ENUM_VALUES: Final = 5_000
# no model reads more tokens than this, so nothing that needs more is ever said
MAX_LEAST: Final = 32_768
# a multiple is known by the remainders of all digits before it, and several at one place by those of all of them
MAX_MULTIPLE: Final = 1_000

_ONE: Final = frozenset({"items", "additionalItems", "additionalProperties"})
_SEVERAL: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_BY_NAME: Final = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_VALUES: Final = frozenset(
    {
        *("type", "enum", "const", "$ref", "required", "minProperties", "maxProperties", "minItems", "maxItems"),
        *("minLength", "maxLength", "pattern", "format"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    }
)
# said about a value, and nothing that it has to be
_REMARKS: Final = frozenset(
    {
        *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment", "$schema"),
        *("contentEncoding", "contentMediaType"),
    }
)
_FORMATS: Final = frozenset(
    {*("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri")}
)
_KNOWN: Final = _ONE | _SEVERAL | _BY_NAME | _VALUES | _REMARKS
# what may put two schemas at one place of the answer
_COMBINING: Final = frozenset({"allOf", "anyOf", "oneOf", "$ref"})
_INDEX_DIGITS: Final = 6
_LEASTS: Final = ("minItems", "minLength", "minProperties")


@dataclass(frozen=True, slots=True)
class _Part:
    schema: Mapping[str, Any]
    place: str
    depth: int
    document: Mapping[str, Any]
    """What `$ref` points into: all of it, or the innermost schema around it that has an `$id`."""


def check(schema: Mapping[str, Any], *, param: str, is_strict: bool) -> None:
    """Raises `Invalid` for a schema that nobody should try, and if strict for one with a word that cannot be kept to.

    The sentence says which keyword it is and where; the place is a JSON pointer, as in `$ref`.
    """
    num_bytes = len(json.dumps(schema, ensure_ascii=False).encode())
    if num_bytes > MAX_BYTES:
        raise _too_large(f"The schema has {num_bytes:,} bytes, and may have {MAX_BYTES:,}.", param)
    num_values = 0
    multiples: set[float] = set()
    is_combined = False
    for num_schemas, part in enumerate(_parts(schema, param), start=1):
        num_values += len(part.schema["enum"]) if isinstance(part.schema.get("enum"), list) else 0
        if num_schemas > MAX_SCHEMAS:
            raise _too_large(f"The schema consists of more than {MAX_SCHEMAS:,} schemas.", param)
        if num_values > MAX_ENUM_VALUES:
            raise _too_large(f"The schema lists more than {MAX_ENUM_VALUES:,} values (enum).", param)
        _refuse_too_much(part, param)
        if isinstance(multiple := part.schema.get("multipleOf"), int | float):
            multiples.add(multiple)
        is_combined = is_combined or not _COMBINING.isdisjoint(part.schema)
        _refuse_other_documents(part, param)
        if is_strict:
            _refuse_unkept(part, param)
    if is_combined and _common(multiples) > MAX_MULTIPLE:
        raise _too_large(
            f"The smallest number that is a multiple of every multipleOf in it may be {MAX_MULTIPLE} at most, without "
            "its decimal point, in a schema with allOf, anyOf, oneOf or $ref.",
            param,
        )


def places_of(schema: Mapping[str, Any], keyword: str) -> list[str]:
    """Where a keyword stands."""
    return [f"{part.place}/{keyword}" for part in _parts(schema, "") if keyword in part.schema]


def _parts(schema: Mapping[str, Any], param: str) -> Iterator[_Part]:
    """The schema and all schemas in it, outermost first; at last whatever else is referred to as one."""
    waiting = [_Part(schema, "#", 1, schema)]
    referred: list[_Part] = []
    met: set[int] = set()
    while waiting or referred:
        if not waiting:
            waiting += [one for one in _referred(referred.pop()) if id(one.schema) not in met]
            continue
        part = waiting.pop()
        met.add(id(part.schema))
        if isinstance(part.schema.get("$ref"), str):
            referred.append(part)
        yield part
        for place, inner in _inner(part, param):
            if isinstance(inner, bool):
                continue
            if not isinstance(inner, Mapping):
                raise _broken(f"At {place} a schema is expected, which is an object, true or false.", param)
            if part.depth == MAX_DEPTH:
                raise _too_large(f"At {place} the schema is nested deeper than {MAX_DEPTH} levels.", param)
            document = inner if "$id" in inner else part.document
            waiting.append(_Part(inner, place, part.depth + 1, document))


def _referred(part: _Part) -> Iterator[_Part]:
    """What stands at the JSON pointer of its `$ref`, as it is written and as a part of a URL."""
    reference: str = part.schema["$ref"]
    for pointer in {reference, unquote(reference)}:
        found: Any = part.document
        document = part.document
        for name in pointer.removeprefix("#").split("/")[1:]:
            key = name.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdecimal() and len(key) <= _INDEX_DIGITS and int(key) < len(found):
                found = found[int(key)]
            else:
                found = found.get(key) if isinstance(found, Mapping) else None
            if isinstance(found, Mapping) and "$id" in found:
                document = found
        if isinstance(found, Mapping):
            yield _Part(found, pointer, 1, document)


def _inner(part: _Part, param: str) -> Iterator[tuple[str, object]]:
    for keyword, value in part.schema.items():
        place = f"{part.place}/{keyword}"
        if keyword in _BY_NAME:
            if not isinstance(value, Mapping):
                raise _broken(f"At {place} an object of schemas by name is expected.", param)
            yield from ((f"{place}/{_escaped(name)}", inner) for name, inner in value.items())
        elif keyword in _SEVERAL or (keyword == "items" and isinstance(value, list)):
            if not isinstance(value, list):
                raise _broken(f"At {place} a list of schemas is expected.", param)
            yield from ((f"{place}/{at}", inner) for at, inner in enumerate(value))
        elif keyword in _ONE:
            yield place, value


def _refuse_too_much(part: _Part, param: str) -> None:
    properties = part.schema.get("properties")
    if isinstance(properties, Mapping) and len(properties) > MAX_PROPERTIES:
        raise _too_large(
            f"At {part.place}/properties there are {len(properties):,} properties, and {MAX_PROPERTIES} may be.", param
        )
    for keyword in _LEASTS:
        least = part.schema.get(keyword)
        if isinstance(least, int) and least > MAX_LEAST:
            raise _too_large(f"At {part.place}/{keyword} more is asked for than any answer has room for.", param)
    multiple = part.schema.get("multipleOf")
    if isinstance(multiple, int | float) and not _is_easy_multiple(multiple):
        raise _too_large(
            f"At {part.place}/multipleOf is {multiple!r}; without its decimal point it may be {MAX_MULTIPLE} at most.",
            param,
        )


def _is_easy_multiple(multiple: float) -> bool:
    # what is no number, infinite or beyond all floats is no easy one either
    return 0 < multiple <= MAX_MULTIPLE and 0 < _common({multiple}) <= MAX_MULTIPLE


def _common(multiples: set[float]) -> int:
    """The least common multiple of them without its decimal point, by twelve decimals; 1 of none."""
    exact = [Fraction(f"{multiple:.12f}") for multiple in multiples]
    scale = next(10**places for places in range(13) if all((one * 10**places).denominator == 1 for one in exact))
    return math.lcm(*(int(one * scale) for one in exact))


def _refuse_other_documents(part: _Part, param: str) -> None:
    reference = part.schema.get("$ref")
    if isinstance(reference, str) and reference != "#" and not reference.startswith("#/"):
        raise Invalid(
            f"At {part.place}/$ref is {reference!r}. Only a place in the same schema can be referred to, as "
            "#/$defs/name; nothing is fetched from elsewhere.",
            code="schema_unsupported",
            param=param,
        )


def _refuse_unkept(part: _Part, param: str) -> None:
    for keyword in part.schema:
        if keyword not in _KNOWN and not keyword.startswith("x-") and not (keyword == "$id" and part.place == "#"):
            raise _unkept(f"the keyword {keyword!r} at {part.place}", param)
    if isinstance(form := part.schema.get("format"), str) and form not in _FORMATS:
        raise _unkept(f"the format {form!r} at {part.place}/format", param)
    least = part.schema.get("minProperties")
    required = part.schema.get("required")
    num_required = len(required) if isinstance(required, list) else 0
    if isinstance(least, int) and least > max(1, num_required):
        # a name that is not in `properties` may be said twice
        raise _unkept(f"the keyword 'minProperties' above 1 at {part.place}", param)


def _unkept(what: str, param: str) -> Invalid:
    return Invalid(
        f"An answer cannot be made to keep to {what}. Leave it out, or send strict: false, and it is overlooked.",
        code="schema_unsupported",
        param=param,
    )


def _too_large(what: str, param: str) -> Invalid:
    return Invalid(f"{what} Make it smaller.", code="schema_too_large", param=param)


def _broken(what: str, param: str) -> Invalid:
    return Invalid(f"This is no JSON schema. {what}", code="schema_invalid", param=param)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
