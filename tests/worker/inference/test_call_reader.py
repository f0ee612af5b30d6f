import json

import pytest

from worker.inference.call_reader import CallReader
from worker.training.data.tool_calls import CallSyntax

TAGS = CallSyntax("<tool_call>", "</tool_call>", is_list=False, name_key="name", arguments_key="arguments")
BARE = CallSyntax("", "", is_list=False, name_key="name", arguments_key="parameters")
LIST = CallSyntax("[TOOL_CALLS]", "", is_list=True, name_key="name", arguments_key="arguments")

TIDE = '{"name": "find_tide", "arguments": {"port": "Östende"}}'
BERTH = '{"name": "book_berth", "arguments": {}}'
CASES = [
    (TAGS, f"<tool_call>\n{TIDE}\n</tool_call>", "", ["find_tide"]),
    (TAGS, f"<tool_call>\n{TIDE}\n</tool_call>\n<tool_call>{BERTH}</tool_call>", "", ["find_tide", "book_berth"]),
    (TAGS, f"Let me look.\n\n<tool_call>\n{TIDE}\n</tool_call>", "Let me look.", ["find_tide"]),
    (TAGS, f"<tool_call>\n{TIDE}", "", ["find_tide"]),
    (TAGS, f"<tool_call>\n{TIDE[:-1]}", f"<tool_call>\n{TIDE[:-1]}", []),
    (TAGS, f"<tool_call>{TIDE}</tool_call> That is all.", f"<tool_call>{TIDE}</tool_call> That is all.", []),
    (TAGS, '<tool_call>{"name": "fly", "arguments": {}}</tool_call>', None, []),
    (TAGS, '<tool_call>{"name": "find_tide", "arguments": "Ostend"}</tool_call>', None, []),
    (TAGS, "1 < 2 <tool or not \n", "1 < 2 <tool or not \n", []),
    (TAGS, TIDE, TIDE, []),
    (BARE, TIDE.replace("arguments", "parameters"), "", ["find_tide"]),
    (BARE, '  {"tide": "high"}', '  {"tide": "high"}', []),
    (BARE, f"It is {TIDE}", f"It is {TIDE}", []),
    (LIST, f"[TOOL_CALLS] [{TIDE}, {BERTH}]", "", ["find_tide", "book_berth"]),
    (LIST, f"[TOOL_CALLS] {TIDE}", f"[TOOL_CALLS] {TIDE}", []),
    (LIST, "[TOOL_CALLS] []", "[TOOL_CALLS] []", []),
]


def reader(syntax: CallSyntax, *, may_call_several: bool = True) -> CallReader:
    return CallReader(syntax, {"find_tide", "book_berth"}, may_call_several=may_call_several)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(("syntax", "said", "text", "names"), CASES, ids=range(len(CASES)))
def test_calls_become_calls_and_all_else_stays_text(
    syntax: CallSyntax, said: str, text: str | None, names: list[str], size: int
) -> None:
    found = reader(syntax)
    shown = "".join(found.push(said[at : at + size]) for at in range(0, len(said), size))
    rest, calls = found.finish()
    assert shown + rest == (said if text is None else text)
    assert [call.name for call in calls] == names
    assert len({call.id for call in calls}) == len(calls)
    if names:
        assert rest == ""
        assert json.loads(calls[0].arguments) == {"port": "Östende"}


def test_text_before_a_call_is_not_kept_waiting() -> None:
    found = reader(TAGS)
    assert found.push("Let me ") == "Let me"
    assert found.push("look <to") == " look"
    assert found.push("day") == " <today"
    bare = reader(BARE)
    assert (bare.push(" "), bare.push("It"), bare.push(" {")) == ("", " It", " {")


@pytest.mark.parametrize(
    ("syntax", "said"),
    [
        (TAGS, f"<tool_call>{TIDE}</tool_call>\n<tool_call>{BERTH}</tool_call>"),
        (LIST, f"[TOOL_CALLS] [{TIDE}, {BERTH}]"),
    ],
    ids=["tags", "list"],
)
def test_one_call_is_enough_where_no_more_are_wanted(syntax: CallSyntax, said: str) -> None:
    found, num_read = reader(syntax, may_call_several=False), 0
    while not found.is_over:
        found.push(said[num_read])
        num_read += 1
    _, calls = found.finish()
    assert [call.name for call in calls] == ["find_tide"]
    assert num_read == len(said) if syntax is LIST else num_read < said.index("book_berth")
