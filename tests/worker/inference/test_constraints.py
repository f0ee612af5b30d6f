"""An answer keeps to its schema whatever the model would rather say: this one says whatever the dice say."""

import json
import re
from collections.abc import Sequence
from typing import Any

import jsonschema_rs
import pytest

from core.errors import Invalid
from core.inference import schemas
from core.inference.types import Constraint, DeltaLine, DoneLine, ErrorLine, JsonShape, Sampling, StreamLine
from tests.factories.json_schemas import random_schema
from tests.worker.inference.test_scheduler import drive
from worker.inference.constraints import TokenMask
from worker.inference.generation import Generation
from worker.inference.runtime import BaseRuntime
from worker.inference.scheduler import Lane

NUM_SCHEMAS = 200
TOGETHER = 20
POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "label": {"enum": ["near", "far"]}},
    "required": ["x", "label"],
    "additionalProperties": False,
}


def shape(schema: dict[str, Any], *, is_strict: bool = True) -> Constraint:
    return Constraint(shape=JsonShape(json_schema=json.dumps(schema), is_strict=is_strict, param="response_format"))


def mask(runtime: BaseRuntime, schema: dict[str, Any], *, is_strict: bool = True) -> TokenMask:
    return runtime.constraints.mask(shape(schema, is_strict=is_strict))


def answers(runtime: BaseRuntime, asked: Sequence[tuple[TokenMask | None, Sampling]]) -> list[list[StreamLine]]:
    """Computed together, each after a prompt of its own."""
    heard: list[list[StreamLine]] = [[] for _ in asked]
    lane = Lane(runtime)
    for at, (found, sampling) in enumerate(asked):
        lane.waiting.append(Generation(runtime, [1, 40 + at, 41], sampling, heard[at].append, mask=found))
    drive(lane)
    return heard


def text_of(lines: Sequence[StreamLine]) -> str:
    return "".join(line.text for line in lines if isinstance(line, DeltaLine))


def closing(runtime: BaseRuntime) -> dict[int, float]:
    """A model of nothing but noise seldom comes to an end; this makes it like what ends a string or a list."""
    ids = {runtime.chat_format.bytes_of(one): one for one in range(runtime.num_scores)}
    return {ids[b'"']: 16.0, ids[b"}"]: 9.0, ids[b"]"]: 9.0}


def digits(runtime: BaseRuntime) -> list[int]:
    return [one for one in range(runtime.num_scores) if (runtime.chat_format.bytes_of(one) or b"").isdigit()]


# What the engine lets through, as most do: a leap second at any time of the day, an address longer than mail allows.
SPELLED = {
    "time": lambda text: bool(re.fullmatch(r"\d\d:\d\d:\d\d(\.\d+)?([zZ]|[+-]\d\d:\d\d)", text)),
    "date-time": lambda text: bool(
        re.fullmatch(r"\d{4}-\d\d-\d\d[tT ]\d\d:\d\d:\d\d(\.\d+)?([zZ]|[+-]\d\d:\d\d)", text)
    ),
    "email": lambda text: bool(re.fullmatch(r"\S+@\S+", text)),
}


def test_answers_by_random_schemas_keep_to_them(runtime: BaseRuntime) -> None:
    made = [random_schema(seed) for seed in range(NUM_SCHEMAS)]
    asked = [
        Sampling(temperature=1.5, seed=seed, max_tokens=400, logit_bias=closing(runtime)) for seed in range(NUM_SCHEMAS)
    ]
    num_whole = 0
    for first in range(0, NUM_SCHEMAS, TOGETHER):
        batch = [(mask(runtime, made[at]), asked[at]) for at in range(first, first + TOGETHER)]
        for at, lines in enumerate(answers(runtime, batch), start=first):
            done = lines[-1]
            assert isinstance(done, DoneLine), done
            if done.finish_reason == "length":
                continue
            num_whole += 1
            said = json.loads(text_of(lines))
            assert jsonschema_rs.validator_for(made[at], validate_formats=True, formats=SPELLED).is_valid(said), (
                made[at],
                said,
            )
    assert num_whole >= NUM_SCHEMAS * 0.9


def test_who_is_answered_beside_a_schema_is_answered_as_if_alone(runtime: BaseRuntime) -> None:
    free = [(None, Sampling(temperature=1.2, seed=seed, max_tokens=40)) for seed in range(3)]
    alone = [text_of(lines) for lines in answers(runtime, free)]
    asked = Sampling(
        temperature=1.2, max_tokens=100, logit_bias=closing(runtime) | dict.fromkeys(digits(runtime), -9.0)
    )
    constrained = [(mask(runtime, POINT), asked.model_copy(update={"seed": seed})) for seed in range(3)]
    beside = answers(runtime, [*free, *constrained])
    assert [text_of(lines) for lines in beside[:3]] == alone
    assert all(json.loads(text_of(lines))["label"] in {"near", "far"} for lines in beside[3:])


def test_the_answer_ends_where_nothing_more_can_be_said(runtime: BaseRuntime) -> None:
    [lines] = answers(runtime, [(mask(runtime, {"const": "far"}), Sampling(temperature=0, max_tokens=60))])
    assert text_of(lines) == '"far"'
    assert isinstance(lines[-1], DoneLine)
    assert (lines[-1].finish_reason, lines[-1].usage.completion_tokens) == ("stop", 5)


def test_an_answer_that_has_no_room_is_cut_off_and_says_so(runtime: BaseRuntime) -> None:
    [lines] = answers(runtime, [(mask(runtime, POINT), Sampling(temperature=0, max_tokens=4))])
    assert isinstance(lines[-1], DoneLine)
    assert lines[-1].finish_reason == "length"
    assert text_of(lines).startswith("{")
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(text_of(lines))


def test_a_bias_cannot_break_the_schema(runtime: BaseRuntime) -> None:
    bias = dict.fromkeys(range(200), 100.0) | {runtime.chat_format.end_of_turn_id: 100.0}
    [lines] = answers(runtime, [(mask(runtime, POINT), Sampling(temperature=0, max_tokens=200, logit_bias=bias))])
    if isinstance(lines[-1], DoneLine) and lines[-1].finish_reason == "stop":
        assert set(json.loads(text_of(lines))) == {"x", "label"}
    assert text_of(lines).lstrip().startswith("{")


def test_log_probabilities_are_those_of_the_model_without_the_schema(runtime: BaseRuntime) -> None:
    asked = Sampling(temperature=0, max_tokens=12, top_logprobs=1)
    [free], [bound] = (answers(runtime, [(found, asked)]) for found in (None, mask(runtime, {"type": "object"})))
    first = [
        next(entry for line in lines if isinstance(line, DeltaLine) for entry in line.logprobs)
        for lines in (free, bound)
    ]
    assert first[1].token == "{"
    assert first[0].top_logprobs == first[1].top_logprobs
    assert first[1].logprob < first[1].top_logprobs[0].logprob


def test_a_grammar_is_read_once_and_each_answer_begins_anew(
    runtime: BaseRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = POINT | {"description": "Read once."}
    first, *_ = answers(runtime, [(mask(runtime, schema), Sampling(seed=1, max_tokens=90))])
    monkeypatch.setattr(runtime.constraints, "_compiled", lambda *_: pytest.fail("it was read already"))
    second, *_ = answers(runtime, [(mask(runtime, schema), Sampling(seed=1, max_tokens=90))])
    assert text_of(first) == text_of(second)


class TestRefusal:
    @pytest.mark.parametrize(
        ("schema", "words"),
        [
            ({"$ref": "#"}, "nothing satisfies it"),
            ({"type": "string", "pattern": "("}, "unclosed group"),
            ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
            ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "incompatible types"),
            ({"type": "string", "minLength": 5, "maxLength": 3}, "minLength"),
            ({"$ref": "#/$defs/none"}, "does not exist"),
            ({"type": "banana"}, "banana"),
            ({"anyOf": [{"oneOf": [{"type": "string"}, {"maxLength": 3}]}, {"type": "null"}]}, "#/anyOf/0/oneOf"),
        ],
    )
    def test_what_the_engine_cannot_keep_to_is_said_with_its_reason(
        self, runtime: BaseRuntime, schema: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(Invalid, match="schema") as refused:
            mask(runtime, schema)
        assert words in refused.value.message
        assert (refused.value.error_code, refused.value.param) == ("schema_unsupported", "response_format")

    def test_what_is_not_strict_overlooks_what_cannot_be_kept_to(self, runtime: BaseRuntime) -> None:
        schema = {"type": "array", "items": {"type": "boolean"}, "maxItems": 3, "uniqueItems": True, "format": "x"}
        with pytest.raises(Invalid):
            mask(runtime, schema)
        found = mask(runtime, schema, is_strict=False)
        [lines] = answers(runtime, [(found, Sampling(seed=1, max_tokens=200))])
        assert all(isinstance(one, bool) for one in json.loads(text_of(lines)))

    def test_a_sender_cannot_loosen_the_engine(self, runtime: BaseRuntime) -> None:
        with pytest.raises(Invalid, match="uniqueItems"):
            mask(runtime, {"type": "array", "uniqueItems": True, "x-guidance": {"lenient": True}})

    def test_a_schema_that_becomes_too_much_ends_its_own_answer_only(self, runtime: BaseRuntime) -> None:
        greedy = Sampling(temperature=0, max_tokens=10)
        [alone] = answers(runtime, [(None, greedy)])
        found = mask(runtime, {"type": "string", "pattern": "^(a?){500}a{500}$"})
        free, failed = answers(runtime, [(None, greedy), (found, greedy)])
        assert isinstance(failed[-1], ErrorLine)
        assert (failed[-1].category, failed[-1].code) == ("invalid", "schema_too_complex")
        assert text_of(free) == text_of(alone)


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        found = {"type": "object", "properties": {"a": found}, "required": ["a"]}
    return found


def each_twice(depth: int) -> dict[str, Any]:
    """Small, and with more places in it than anybody could count."""
    levels = {f"d{at}": {"properties": {name: {"$ref": f"#/$defs/d{at + 1}"} for name in "ab"}} for at in range(depth)}
    return {"$defs": levels | {f"d{depth}": {"type": "null"}}, "$ref": "#/$defs/d0"}


def wide(num: int) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{at}": {"type": "string"} for at in range(num)}}


@pytest.mark.parametrize(
    "schema",
    [
        nested(31),
        wide(256),
        {"type": "object", "properties": {f"o{at}": wide(256) for at in range(15)}},
        {"enum": [f"value {at}" for at in range(5_000)]},
        {"type": "array", "items": {"type": "array", "minItems": 32_768}, "minItems": 32_768},
        {"type": "string", "maxLength": 2**31 - 1, "minLength": 32_768},
        {"type": "array", "maxItems": 2**31 - 1, "items": {"type": "string"}},
        {"type": "integer", "multipleOf": 997},
        {"type": "string", "pattern": "^(a|b)*a(a|b){20}$"},
        {"type": "string", "pattern": "(a{1000}){1000}"},
        each_twice(30),
        {"allOf": [{"anyOf": [{"properties": {f"a{i}{j}": {"type": "string"}}} for j in range(3)]} for i in range(12)]},
    ],
)
def test_the_largest_that_is_let_in_is_answered_or_refused_in_little_time(
    runtime: BaseRuntime, schema: dict[str, Any]
) -> None:
    """A time limit would be one more thing that fails on a busy machine: the engine's own is in steps."""
    schemas.check(schema, param="response_format", is_strict=True)
    try:
        found = mask(runtime, schema)
    except Invalid:
        return
    [lines] = answers(runtime, [(found, Sampling(temperature=2, seed=1, max_tokens=60))])
    assert isinstance(lines[-1], DoneLine | ErrorLine)
