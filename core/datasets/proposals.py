"""What a table's columns probably are, by their names first and their contents second; the owner decides."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from core.datasets import column_names
from core.datasets.columns import texts
from core.datasets.times import Times
from core.datasets.types import ColumnRole, Mapping

_ASSISTANT = frozenset(
    {"agent", "support", "staff", "assistant", "employee", "operator", "representative", "rep", "csr", "helpdesk",
     "advisor", "adviser", "admin", "bot", "us", "we", "team", "outbound", "outgoing", "out", "gpt", "model", "company",
     "service"}
)  # fmt: skip
_CUSTOMER = frozenset(
    {"customer", "client", "user", "enduser", "requester", "guest", "visitor", "human", "inbound", "incoming", "in",
     "buyer", "patient", "contact", "consumer", "caller", "member", "student", "tenant"}
)  # fmt: skip
_PASSED_OVER = frozenset({"system", "note", "internal", "automation", "automatic", "event", "trigger"})
_TRUE = frozenset({"true", "1", "yes", "y", "t", "x"})
_FALSE = frozenset({"false", "0", "no", "n", "f", ""})
_FREE_MAIL = frozenset(
    {"gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "gmx.de", "web.de", "aol.com"}
)
_MAX_DISTINCT = 0.8
_MOSTLY = 0.8
# of the conversations, in how many the own address speaks
_OWN_DOMAIN_SHARE = 0.6
_LONG_TEXT_CHARS = 200

Rows = Sequence[Sequence[str]]


def propose(names: Sequence[str], rows: Rows) -> Mapping:
    """As much as can be guessed; it may be incomplete. No column plays two parts."""
    return _threads(names, rows) or _preferences(names, rows) or _text(names, rows) or _pairs(names, rows)


def suggest_mapping(names: Sequence[str], rows: Rows) -> Mapping | None:
    """None unless it says all that it needs."""
    found = propose(names, rows)
    return None if found.missing() else found


def _pairs(names: Sequence[str], rows: Rows) -> Mapping:
    roles: dict[ColumnRole, str] = {}
    worded = texts(names, rows)
    for is_whole_name in (True, False):
        for role, candidates in column_names.PAIRS.items():
            # a ticket's number is called "ticket" too, and asks nothing; an answer may well be a number
            asked = worded if role is ColumnRole.QUESTION and len(worded) > 1 else names
            found = column_names.find(candidates, _free(asked, roles.values()), is_whole_name=is_whole_name)
            if role not in roles and found is not None:
                roles[role] = found
    free = _free(worded, roles.values())
    for role in (ColumnRole.QUESTION, ColumnRole.ANSWER):
        if role not in roles and free:
            roles[role] = free.pop(0)
    context = column_names.find(column_names.CONTEXT, _free(names, roles.values()), is_whole_name=True)
    headline = column_names.find(column_names.HEADLINE, _free(names, roles.values()), is_whole_name=True)
    question = roles.get(ColumnRole.QUESTION)
    if headline is not None:
        question, context = headline, question
    return Mapping(
        question=question,
        context=context,
        answer=roles.get(ColumnRole.ANSWER),
        system=roles.get(ColumnRole.SYSTEM),
        time=_dates(names, rows, taken=(question, context, *roles.values())),
    )


def _preferences(names: Sequence[str], rows: Rows) -> Mapping | None:
    chosen, rejected = (column_names.find_any(found, names) for found in column_names.PREFERENCES.values())
    if chosen is None or rejected is None or chosen == rejected:
        return None
    free = _free(names, (chosen, rejected))
    question = column_names.find_any(column_names.PAIRS[ColumnRole.QUESTION], free)
    system = column_names.find_any(column_names.PAIRS[ColumnRole.SYSTEM], _free(free, (question,)))
    time = _dates(names, rows, taken=(question, system, chosen, rejected))
    return Mapping(question=question, system=system, chosen=chosen, rejected=rejected, time=time)


def _text(names: Sequence[str], rows: Rows) -> Mapping | None:
    """Only where one column has long texts and no other has any."""
    found = texts(names, rows)
    name = column_names.find(column_names.TEXTS, names, is_whole_name=True)
    if name is None or found != [name]:
        return None
    values = _values(names, rows, name)
    return Mapping(text=name) if values and sum(map(len, values)) / len(values) >= _LONG_TEXT_CHARS else None


def _dates(names: Sequence[str], rows: Rows, *, taken: Iterable[str | None]) -> str | None:
    """The column that says when each example was written: called so, and holding what can be read as times."""
    name = column_names.find(column_names.DATES, _free(names, taken), is_whole_name=True)
    values = [] if name is None else _values(names, rows, name)
    times = Times()
    return name if values and sum(map(times.add, values)) >= _MOSTLY * len(values) else None


def _threads(names: Sequence[str], rows: Rows) -> Mapping | None:
    """Only where an id comes again, and there are columns for who speaks and what is said."""
    conversation = column_names.find_any(column_names.THREADS[ColumnRole.CONVERSATION], names)
    if conversation is None or not _comes_again(_values(names, rows, conversation)):
        return None
    free = _free(names, (conversation,))
    speaker = column_names.find_any(column_names.THREADS[ColumnRole.SPEAKER], free)
    free = _free(free, (speaker,))
    others = texts(names, rows)
    message = column_names.find_any(column_names.THREADS[ColumnRole.MESSAGE], free)
    if message is None and len(found := _free(others, (conversation, speaker))) == 1:
        message = found[0]
    if speaker is None or message is None:
        return None
    time = column_names.find_any(column_names.THREADS[ColumnRole.TIME], _free(free, (message,)))
    spoken = _pairs_of(names, rows, conversation, speaker)
    return Mapping(
        conversation=conversation,
        time=time,
        speaker=speaker,
        message=message,
        assistant_speakers=_assistants(speaker, spoken),
        ignored_speakers=_distinct(value for _, value in spoken if _PASSED_OVER & set(column_names.words(value))),
    )


def _assistants(name: str, spoken: Sequence[tuple[str, str]]) -> list[str]:
    """Who of those who speak answers, from (conversation, speaker); none if nothing tells."""
    values = _distinct(value for _, value in spoken)
    if {value.casefold() for value in values} <= _TRUE | _FALSE:
        answers_if = _FALSE if _CUSTOMER & set(column_names.words(name)) else _TRUE
        return [value for value in values if value.casefold() in answers_if]
    if sum("@" in value for value in values) >= _MOSTLY * len(values):
        return _own_domain(spoken)
    heard = [value for value in values if not _PASSED_OVER & set(column_names.words(value))]
    known = [value for value in heard if _ASSISTANT & set(column_names.words(value)) and not _is_customer(value)]
    customers = [value for value in heard if _is_customer(value)]
    if not known and customers and len(heard) == len(customers) + 1:
        return [value for value in heard if value not in customers]
    return known


def _is_customer(value: str) -> bool:
    return bool(_CUSTOMER & set(column_names.words(value)))


def _own_domain(spoken: Sequence[tuple[str, str]]) -> list[str]:
    """The domain that speaks in most conversations; customers come from many."""
    heard_in: defaultdict[str, set[str]] = defaultdict(set)
    for conversation, value in spoken:
        heard_in[value.casefold().rstrip("> ").rpartition("@")[2]].add(conversation)
    num_conversations = len({conversation for conversation, _ in spoken})
    found = {domain: len(where) for domain, where in heard_in.items() if domain and domain not in _FREE_MAIL}
    own = max(found, key=lambda domain: found[domain], default=None)
    if own is None or len(heard_in) == 1 or found[own] < _OWN_DOMAIN_SHARE * num_conversations:
        return []
    return [f"@{own}"]


def _comes_again(values: Sequence[str]) -> bool:
    return bool(values) and len(set(values)) <= _MAX_DISTINCT * len(values) and max(Counter(values).values()) > 1


def _values(names: Sequence[str], rows: Rows, name: str) -> list[str]:
    index = names.index(name)
    return [row[index].strip() for row in rows if index < len(row) and row[index].strip()]


def _pairs_of(names: Sequence[str], rows: Rows, one: str, other: str) -> list[tuple[str, str]]:
    first, second = names.index(one), names.index(other)
    cut = [(row[first].strip(), row[second].strip()) for row in rows if len(row) > max(first, second)]
    return [pair for pair in cut if all(pair)]


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _free(names: Sequence[str], taken: Iterable[str | None]) -> list[str]:
    used = set(taken)
    return [name for name in names if name not in used]
