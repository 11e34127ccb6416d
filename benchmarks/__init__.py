"""What modelwright costs, measured beside its peers on the same work: one package a subject, run by `make bench`."""
