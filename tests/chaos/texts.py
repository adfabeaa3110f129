"""Texts for the load: each carries the name of the operation that writes it."""

import random
from functools import cache
from typing import Final

#: Whatever PostgreSQL and JSON may trip over, of all planes; no question marks: the demo assistant
#: answers questions differently.
_ALPHABETS: Final = (
    "abcdefghijklmnopqrstuvwxyz     ",
    "äöüßéèñçøåÄÖÜ ",
    "мир труд маяк ",
    "你好世界聊天记录",
    "שלום عالم ",
    "😀👍🏽🧑\u200d🚀🏳️\u200d🌈",
    "\u0301\u200b\u202e\ufeff\u2028\x01\x7f",
    "'\"\\%_$;--/**/{}[]<>&\t\n",
)
_SIZES: Final = ((0.70, 60), (0.20, 400), (0.08, 3_000), (0.02, 30_000))
#: PostgreSQL refuses texts with this sign while a fault makes it do so (see faults of kind poison).
POISON: Final = "☠"
#: Pieces are made once: to choose every sign anew would take more time than to send the text.
_PIECES: Final = 512
_PIECE_SIGNS: Final = 200


def text(rng: random.Random, op: str, poisonous: str = "") -> str:
    """Return a text of an operation: its mark, then something of any length and script."""
    size = rng.randrange(1, rng.choices([s for _, s in _SIZES], [w for w, _ in _SIZES])[0])
    piece = rng.choice(_pieces())
    return f"#{op}#{poisonous} " + (piece * (size // len(piece) + 1))[:size]


def many_words(rng: random.Random, op: str) -> str:
    """Return a text that the demo assistant, which quotes it, takes long to answer."""
    return f"#{op}# " + " ".join(rng.choices("aeiou", k=100))


@cache
def _pieces() -> list[str]:
    rng = random.Random("pieces")
    signs = range(_PIECE_SIGNS)
    return ["".join(rng.choice(rng.choice(_ALPHABETS)) for _ in signs) for _ in range(_PIECES)]


def title(rng: random.Random, op: str) -> str:
    """Return a title of an operation."""
    return text(rng, op)[:200]
