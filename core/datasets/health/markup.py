"""What came along from where the texts were copied: marks of chat templates, HTML."""

import html
import re
from collections.abc import Iterable

from core.datasets.health.detector import Detector, Look, Rule
from core.datasets.types import Fix, Problem, Severity

CONTROL_TOKEN = Rule(
    code="control_token",
    severity=Severity.WARNING,
    one="1 example contains marks with which chat programs tell who speaks, such as <|im_start|>.",
    many="{count} examples contain marks with which chat programs tell who speaks, such as <|im_start|>.",
    cause="There is a mark with which chat programs tell who speaks.",
    advice="Take it away: here it is learned as plain text, and the model may say it.",
    fixes=(Fix.CLEAN, Fix.LEAVE_OUT),
)
_CONTROL = re.compile(
    r"<\|[a-z][a-z0-9_]{1,30}\|>|<\uff5c[^\uff5c\n]{2,30}\uff5c>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|"
    r"\[(?:/?AVAILABLE_TOOLS|/?TOOL_RESULTS|TOOL_CALLS)\]|^#{2,3} (?:Instruction|Response):$",
    re.MULTILINE,
)


def without_control_tokens(text: str) -> str:
    return _CONTROL.sub("", text).strip()


class ControlTokens(Detector):
    rules = (CONTROL_TOKEN,)

    def problems(self, row: Look) -> Iterable[Problem]:
        text = row.words
        # what can be looked for as it is costs next to nothing
        if ("<" in text or "[" in text or "#" in text) and _CONTROL.search(text):
            yield CONTROL_TOKEN.problem(row.number)


MARKUP = Rule(
    code="markup",
    severity=Severity.WARNING,
    one="1 example contains what is left of a web page (HTML).",
    many="{count} examples contain what is left of a web page (HTML).",
    cause="There is what is left of a web page, such as <br> or &nbsp;.",
    advice="Take it away, unless the model is to write HTML.",
    fixes=(Fix.CLEAN, Fix.LEAVE_OUT),
)
_NAMES = "a|b|br|center|div|em|font|h[1-6]|hr|i|img|li|ol|p|span|strong|table|tbody|td|th|tr|u|ul"
_TAG = re.compile(rf"</?(?:{_NAMES})(?:\s[^<>]{{0,300}})?/?>", re.IGNORECASE)
_BREAKS = re.compile(r"<(?:br|/p|/div|/tr|/li|/h[1-6])\s*/?>\n?", re.IGNORECASE)
_ENTITY = re.compile(
    r"&(?:nbsp|amp|lt|gt|quot|apos|[aou]uml|szlig|eacute|egrave|rsquo|lsquo|ndash|mdash|hellip|euro|#\d{2,5}|#x[0-9a-fA-F]{2,4});"
)
_ABOUT_MARKUP = ("```", "`<", "html", "HTML", "Html", "<!DOCTYPE", "xml", "XML", "css", "CSS", "tag", "Tag")


def _has_markup(text: str) -> bool:
    if any(word in text for word in _ABOUT_MARKUP):
        return False
    return _TAG.search(text) is not None or _ENTITY.search(text) is not None


def without_markup(text: str) -> str:
    if not _has_markup(text):
        return text
    plain = html.unescape(_TAG.sub("", _BREAKS.sub("\n", text))).replace("\xa0", " ")
    return re.sub(r"[ \t]{2,}", " ", re.sub(r"\n{3,}", "\n\n", plain)).strip()


class Markup(Detector):
    rules = (MARKUP,)

    def problems(self, row: Look) -> Iterable[Problem]:
        text = row.words
        if ("<" in text or "&" in text) and _has_markup(text):
            yield MARKUP.problem(row.number)
