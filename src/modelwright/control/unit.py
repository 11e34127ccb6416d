"""What a difference of row losses is divided by for the paired test, and how it is said to people.

Losses of classes lie in [0, 1] as they are. Those of amounts are counted in units of the champion's own error for the test, and
said as amounts: in the label's own unit, which is the one people know. Used by comparisons and guards. Decides nothing.
"""

import msgspec

AMOUNT_SCALE = 4.0
"""Row losses of amounts are counted in units of the champion's held-back loss, at most this many: the paired test
needs differences within [-1, 1]."""


class Unit(msgspec.Struct, frozen=True):
    """`size`: of the test's 1, in the unit of the losses. `of`: the amount whose absolute error they are; empty for classes."""

    size: float = 1.0
    of: str = ""

    def said(self, difference: float, sign: str = "") -> str:
        """A difference of the test in words; with `sign="+"` also where it is above 0.

        >>> Unit().said(0.0206), Unit(2_340.0, "passengers").said(0.0206)
        ('0.0206', '48.2 in mean absolute error of passengers')
        """
        if not self.of:
            return f"{difference:{sign}z.4f}"
        return f"{_amount(difference * self.size, sign)} in mean absolute error of {self.of}"

    def bound(self, margin: float) -> str:
        """The margin in words."""
        return _amount(margin * self.size) if self.of else f"{margin:g}"

    @property
    def evidence(self) -> dict[str, float]:
        """What the journal needs to read the test's figures as amounts; nothing for classes."""
        return {"unit": self.size} if self.of else {}


def _amount(value: float, sign: str = "") -> str:
    return f"{value:{sign},.0f}" if abs(value) >= 1_000 else f"{value:{sign}.4g}"
