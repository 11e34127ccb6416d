"""Other drift detectors on our streams, each run by the interpreter of its own environment."""
