"""Jobs on a Ray cluster: nodes (`cluster.py`), what goes to and fro (`cache_server.py`, `worker.py`), who runs them.

Ray Tune runs the long jobs (`tuner.py`), plain Ray tasks the short ones (`tasks.py`): `pool.py` puts them together.
Nothing is imported here: most processes of a node need no Tune, and importing it takes one of their first two seconds.
"""
