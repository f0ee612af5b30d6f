import socket

from core.stack.ports import HOST, choose, is_free


def test_a_remembered_port_is_kept_while_it_is_free() -> None:
    first = choose(["a", "b"], {})
    assert choose(["a", "b"], first) == first
    assert len(set(first.values())) == 2


def test_a_taken_port_is_replaced_and_no_other() -> None:
    first = choose(["a", "b"], {})
    with socket.create_server((HOST, first["a"])):
        assert not is_free(first["a"])
        second = choose(["a", "b"], first)
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]


def test_two_names_never_share_a_port() -> None:
    port = choose(["a"], {})["a"]
    assert len(set(choose(["a", "b"], {"a": port, "b": port}).values())) == 2


def test_an_unknown_host_is_not_free() -> None:
    assert not is_free(8700, "no-such-host.invalid")
