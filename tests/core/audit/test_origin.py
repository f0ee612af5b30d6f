import pytest

from core.audit.origin import user_agent_family


@pytest.mark.parametrize(
    ("header", "family"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Safari/537.36", "Chrome"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/141.0 Safari/537.36 Edg/141.0", "Edge"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15", "Safari"),
        ("Mozilla/5.0 (X11; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox"),
        ("OpenAI/Python 2.1.0", "openai-python"),
        ("AsyncOpenAI/Python 2.1.0", "openai-python"),
        ("OpenAI/JS 6.0.0", "openai-node"),
        ("curl/8.5.0", "curl"),
        ("my script\x1b[31m", "my"),
        ("x" * 500, "x" * 40),
        ("", None),
        (None, None),
    ],
)
def test_a_program_is_told_without_its_version(header: str | None, family: str | None) -> None:
    assert user_agent_family(header) == family
