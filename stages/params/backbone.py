"""Parameters of the stage backbone: whose weights it provides."""

from stages.params import network


class Params(network.Params):
    """What `backbone` reads from params.yaml."""
