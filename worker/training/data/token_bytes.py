"""What a token's own bytes are, which its name hides: some tokenizers spell bytes as letters, others mark blanks."""

import re

from tokenizers import Tokenizer

_BLANK = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece's sign for one
_SPELLED_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class TokenBytes:
    """Of the tokens of one tokenizer; its added tokens are spelled as they are."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._added = {
            token_id: token.content.encode() for token_id, token in tokenizer.get_added_tokens_decoder().items()
        }
        decoder = tokenizer.decoder
        is_byte_level = decoder is not None and b'"ByteLevel"' in decoder.__getstate__()
        self._byte_of_letter = _letters_of_bytes() if is_byte_level else None

    def of(self, token_id: int) -> bytes:
        added = self._added.get(token_id)
        if added is not None:
            return added
        name = self._tokenizer.id_to_token(token_id) or ""
        if self._byte_of_letter is not None:
            # what is no letter of the alphabet is a token of its own, spelled as it is
            return b"".join(self._byte_of_letter.get(letter, letter.encode()) for letter in name)
        spelled = _SPELLED_BYTE.fullmatch(name)
        return bytes.fromhex(spelled[1]) if spelled else name.replace(_BLANK, " ").encode()


def _letters_of_bytes() -> dict[str, bytes]:
    """GPT-2's alphabet: a printable byte is its own letter, the others take letters from 256 on, in their order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(hidden)}
    return {letter: bytes([byte]) for letter, byte in letters.items()}
