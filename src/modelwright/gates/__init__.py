"""Rank 9: gates. One file each: what is declared, and how it is judged over the artefact that would be served.

gates=[gate.metric("average_precision", at_least=0.4), gate.better_than("baseline")]
"""

from modelwright.gates.better_than import better_than
from modelwright.gates.metric import metric

__all__ = ["better_than", "metric"]
