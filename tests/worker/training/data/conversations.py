"""Conversations that the tests of chat formats share."""

from typing import Any

Row = dict[str, Any]

CHAT: list[Row] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "alpha\n\n  beta? é 日本 🐦👩‍👩‍👧"},
    {"role": "assistant", "content": "gamma.\n\n\tdelta   epsilon"},
    {"role": "user", "content": "> zeta < eta [INS] <b>\r\n"},
    {"role": "assistant", "content": "```py\nif x:\n    return '<s'\n```"},
]
TOOLS: list[Row] = [
    {
        "type": "function",
        "function": {
            "name": "find_tide",
            "description": "Height of the tide, in metres & feet.",
            "parameters": {
                "type": "object",
                "properties": {
                    "port": {"type": "string", "description": "Name of the port: Ostend, Zeebrügge."},
                    "day": {"type": "integer", "minimum": 1},
                },
                "required": ["port"],
            },
        },
    }
]


def called(call_id: str, arguments: Any) -> Row:  # noqa: ANN401 - text or object
    return {"id": call_id, "type": "function", "function": {"name": "find_tide", "arguments": arguments}}


CALLS: list[Row] = [
    {"role": "user", "content": "How high is it in Zeebrügge on the 3rd?"},
    {"role": "assistant", "content": None, "tool_calls": [called("abcdefgh1", {"port": "Zeebrügge", "day": 3})]},
    {"role": "tool", "content": '{"metres": 4.2}', "tool_call_id": "abcdefgh1", "name": "find_tide"},
    {"role": "assistant", "content": "It is 4.2 m high."},
    {"role": "user", "content": "And in Ostend?"},
    {"role": "assistant", "content": None, "tool_calls": [called("abcdefgh2", {"port": "Ostend"})]},
    {"role": "tool", "content": "low", "tool_call_id": "abcdefgh2", "name": "find_tide"},
    {"role": "assistant", "content": "Low."},
]
WITH_TOOLS = ["llama-3.1", "llama-3.2", "qwen2.5", "qwen3", "mistral-v0.3"]


def without(messages: list[Row], *fields: str) -> list[Row]:
    return [{key: value for key, value in message.items() if key not in fields} for message in messages]
