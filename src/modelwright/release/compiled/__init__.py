"""The compiled form of a fitted pipeline: preparation and model as plain arrays, and one machine that runs them.

A model's rows need no DataFrame here and no library it was trained with. Everything is computed in float64 in the order
the estimator computes it in, so that trees give the same bits. `optimize.lowering` makes programs; nothing here does.
"""
