"""Made-up JSON schemas: any number of them, the same ones each time, of all that an answer can be made to keep to."""

import random
from typing import Any, Final

Schema = dict[str, Any]

NAMES: Final = ("a", "name", "größe", "port of call", "x-y", "items", "$ref", 'quo"te', "back\\slash")
PATTERNS: Final = (r"^[a-z]{1,4}$", r"^\d{3}-\d{2}$", "ab", r"^(red|green)?$", r"^\w+ ?\w*$", r"[.]$", r"^\S{2}\s")
FORMATS: Final = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri")
VALUES: Final[tuple[Any, ...]] = ("red", "grün", "", 7, -0.5, True, None, [1, "a"], {"k": [None]}, 'a"b\\c\n')


def random_schema(seed: int) -> Schema:
    dice = random.Random(seed)
    schema = _object(dice, depth=3)
    if dice.random() < 0.3:  # one that is referred to, by itself too
        node = {
            "type": "object",
            "properties": {"value": _scalar(dice), "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["value", "next"],
            "additionalProperties": False,
        }
        schema["$defs"] = {"node": node}
        schema["properties"]["node"] = {"$ref": "#/$defs/node"}
        schema["required"] = [*schema.get("required", ()), "node"]
    return schema


def _any(dice: random.Random, depth: int) -> Schema:
    if depth == 0 or dice.random() < 0.5:
        return _scalar(dice)
    return dice.choice((_object, _array, _union, _both))(dice, depth)


def _object(dice: random.Random, depth: int) -> Schema:
    names = dice.sample(NAMES, dice.randint(1, 4))
    schema: Schema = {"type": "object", "properties": {name: _any(dice, depth - 1) for name in names}}
    schema["required"] = [name for name in names if dice.random() < 0.7]
    rest = dice.random()
    if rest < 0.6:
        schema["additionalProperties"] = False
    elif rest < 0.8:
        schema["additionalProperties"] = _scalar(dice)
        schema["patternProperties"] = {"^z[0-9]$": {"type": "boolean"}}
    return schema


def _array(dice: random.Random, depth: int) -> Schema:
    schema: Schema = {"type": "array", "items": _any(dice, depth - 1), "maxItems": dice.randint(1, 4)}
    if dice.random() < 0.3:
        schema["prefixItems"] = [_scalar(dice), _scalar(dice)]
    if dice.random() < 0.5:
        schema["minItems"] = dice.randint(0, schema["maxItems"])
    return schema


def _union(dice: random.Random, depth: int) -> Schema:
    return {"anyOf": [_any(dice, depth - 1) for _ in range(dice.randint(2, 3))]}


def _both(dice: random.Random, depth: int) -> Schema:
    del depth
    return {"allOf": [{"type": "integer", "minimum": dice.randint(-50, 0)}, {"maximum": dice.randint(1, 99)}]}


def _scalar(dice: random.Random) -> Schema:
    least = dice.randint(-1000, 1000)
    return dice.choice(
        (
            {"type": "string", "maxLength": dice.randint(0, 8), "description": "A word."},
            {"type": "string", "minLength": 2, "maxLength": 5},
            {"type": "string", "pattern": dice.choice(PATTERNS)},
            {"type": "string", "format": dice.choice(FORMATS)},
            {"type": "integer", "minimum": least, "maximum": least + dice.randint(0, 500)},
            {"type": "integer", "multipleOf": dice.choice((3, 10, 7)), "minimum": 0, "maximum": 1000},
            {"type": "number", "exclusiveMinimum": least, "exclusiveMaximum": least + 1.5},
            {"type": ["boolean", "null"]},
            {"enum": dice.sample(VALUES, 3)},
            {"const": dice.choice(VALUES)},
        )
    )
