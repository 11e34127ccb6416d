"""From a fitted estimator to a compiled program: one file a family of transformers or models.

What has no exact form here is `Unsupported`, with the reason in one line; the estimator is then served in another form.
"""
