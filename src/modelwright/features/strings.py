"""The dictionary of strings: the kernel sees numbers, so each text of a column has a number that never changes.

The port and its in-memory form stand here; `lake` keeps the persisted one. Knows no kernel and no Arrow.
"""

from typing import Protocol


class Strings(Protocol):
    """Numbers for texts, a dictionary a column. Numbers count up from 0, are never reused and survive a restart.

    Safe to call from one thread at a time. A number given out by `id_of` must be durable no later than the first row
    that holds it.
    """

    def id_of(self, column: str, text: str) -> int:
        """The text's number in the column, assigned when it is new."""
        ...

    def find(self, column: str, text: str) -> int | None:
        """The text's number, or None; never assigns."""
        ...

    def text_of(self, column: str, id: int) -> str:
        """The text of a number that was given out; KeyError for any other."""
        ...


class Scoped:
    """`Strings` of another event than the system's, inside the log's: its columns are named behind it, `Login.country`."""

    def __init__(self, strings: Strings, event: str) -> None:
        self._strings = strings
        self._event = event

    def id_of(self, column: str, text: str) -> int:
        return self._strings.id_of(f"{self._event}.{column}", text)

    def find(self, column: str, text: str) -> int | None:
        return self._strings.find(f"{self._event}.{column}", text)

    def text_of(self, column: str, id: int) -> str:
        return self._strings.text_of(f"{self._event}.{column}", id)


class MemoryStrings:
    """`Strings` that live as long as the process.

    >>> strings = MemoryStrings()
    >>> strings.id_of("country", "DE"), strings.id_of("country", "FR"), strings.id_of("country", "DE")
    (0, 1, 0)
    >>> strings.find("country", "IT") is None, strings.text_of("country", 1)
    (True, 'FR')
    """

    def __init__(self) -> None:
        self._ids: dict[str, dict[str, int]] = {}
        self._texts: dict[str, list[str]] = {}

    def id_of(self, column: str, text: str) -> int:
        ids = self._ids.setdefault(column, {})
        found = ids.get(text)
        if found is None:
            found = ids[text] = len(ids)
            self._texts.setdefault(column, []).append(text)
        return found

    def find(self, column: str, text: str) -> int | None:
        return self._ids.get(column, {}).get(text)

    def text_of(self, column: str, id: int) -> str:
        texts = self._texts.get(column, [])
        if not 0 <= id < len(texts):
            raise KeyError(f"{column}: no text has the number {id}")
        return texts[id]
