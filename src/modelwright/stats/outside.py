"""How much of a distribution may lie outside the range of a sample from it: by the sample's size alone.

Of n independent draws of any continuous distribution the share outside their smallest and largest is Beta(2, n - 1) (Wilks,
Annals of Mathematical Statistics 1941); where values repeat it is less.
"""


def largest_share_outside(rows: float, doubt: float) -> float:
    """The share that lies outside the range of so many draws, or less: but for one sample in 1 / `doubt`.

    >>> round(largest_share_outside(1_000, 0.01), 4), round(largest_share_outside(10, 0.01), 2)
    (0.0066, 0.5)
    """
    if rows < 2:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        # Beta(2, n - 1) is above it with the chance that of n draws at most one is outside.
        above = (1 - middle) ** rows + rows * middle * (1 - middle) ** (rows - 1)
        low, high = (middle, high) if above > doubt else (low, middle)
    return high
