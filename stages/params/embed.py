"""Parameters of the stages embed and extract: which network, and where to compute."""

from stages.params import computing, network


class Params(computing.Params, network.Params):
    """What `embed` and `extract` read from params.yaml."""
