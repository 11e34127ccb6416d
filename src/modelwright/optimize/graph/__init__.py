"""Models as ONNX graphs over a matrix of prepared numbers, to stand behind a compiled preparation; and what makes such a
graph of a network smaller: INT8, fewer units."""
