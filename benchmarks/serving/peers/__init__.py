"""The peers of the stateless contest, each as its documentation says to write it. They run in environments of their own.

All load the pickled estimator that `PEER_MODEL` names, make a DataFrame of a request's rows and answer `predict_proba`.
None of them imports anything of this project.
"""
