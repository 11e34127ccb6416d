"""Reading and updating features: the online host alone, in process."""
