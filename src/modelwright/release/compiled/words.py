"""How a free text becomes terms: scikit-learn's vectorizers' rules, without scikit-learn.

Lower case and accents first, then words by a pattern or characters, then runs of them. What these rules give is what the
vectorizer's own analyzer gives, term by term. Knows no vocabulary and no weights; they are the reader's (`reader.py`).
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from typing import Final, Literal

Unit = Literal["word", "char", "char_wb"]
Accents = Literal["", "ascii", "unicode"]
Terms = Callable[[str], list[str]]

_WHITE_SPACES: Final = re.compile(r"\s\s+")


def splitter(
    unit: Unit, pattern: str, shortest: int, longest: int, stop_words: Collection[str], accents: Accents, *, lower: bool
) -> Terms:
    """The function from a text to its terms.

    `unit`: words, characters, or characters within words. `pattern`: what a word is. Terms are runs of `shortest` to
    `longest` units; `stop_words` are left out before.
    """
    find, left_out = re.compile(pattern).findall, frozenset(stop_words)

    def words(text: str) -> list[str]:
        found: list[str] = find(text)
        return _runs([word for word in found if word not in left_out] if left_out else found, shortest, longest)

    def characters(text: str) -> list[str]:
        return _within(_WHITE_SPACES.sub(" ", text), shortest, longest)

    def characters_of_words(text: str) -> list[str]:
        return [term for word in text.split() for term in _padded(f" {word} ", shortest, longest)]

    split = {"word": words, "char": characters, "char_wb": characters_of_words}[unit]
    if not accents:
        return (lambda text: split(text.lower())) if lower else split
    strip = _to_ascii if accents == "ascii" else _without_accents
    return lambda text: split(strip(text.lower() if lower else text))


def _runs(words: Sequence[str], shortest: int, longest: int) -> list[str]:
    """Single words, then pairs, then threes."""
    terms = list(words) if shortest == 1 else []
    for length in range(max(2, shortest), min(longest, len(words)) + 1):
        terms += [" ".join(words[place : place + length]) for place in range(len(words) - length + 1)]
    return terms


def _within(text: str, shortest: int, longest: int) -> list[str]:
    return [
        text[place : place + length]
        for length in range(shortest, min(longest, len(text)) + 1)
        for place in range(len(text) - length + 1)
    ]


def _padded(word: str, shortest: int, longest: int) -> list[str]:
    """Of a word with a space on either side; one that is shorter than a run counts once, whole."""
    terms: list[str] = []
    for length in range(shortest, longest + 1):
        if length >= len(word):
            return [*terms, word]
        terms += [word[place : place + length] for place in range(len(word) - length + 1)]
    return terms


def _to_ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ASCII", "ignore").decode("ASCII")


def _without_accents(text: str) -> str:
    if text.isascii():
        return text
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
