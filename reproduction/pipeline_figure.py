"""Draw the graph of the stages as SVG, from what `dvc dag --dot` prints.

DVC draws every dependency, even if a longer path implies it; the figure leaves the implied ones
out. The layout comes from grandalf, which is installed with DVC.
"""

import html
import re
from dataclasses import dataclass

import networkx
from grandalf.graphs import Edge, Graph, Vertex
from grandalf.layouts import SugiyamaLayout

HEIGHT, GAP_X, GAP_Y, MARGIN = 30, 24, 36, 12
CHARACTER = 8.2  # width in pixels
QUOTED = re.compile(r'"([^"]+)"')  # a line of DVC names one stage, or two with an arrow between
HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" '
    'font-family="ui-monospace, monospace" font-size="13" role="img">\n'
    "<title>The stages of the pipeline</title>\n"
    '<rect width="100%" height="100%" rx="6" fill="#ffffff"/>'
)


@dataclass
class Box:
    """What grandalf lays out: a width, a height and, then, a place."""

    w: float
    h: float = HEIGHT
    xy: tuple[float, float] = (0, 0)


def stages_of(dot: str) -> networkx.DiGraph:
    """Return the graph of the stages that depend on each other, without implied arrows."""
    lines = [QUOTED.findall(line) for line in dot.splitlines()]
    full = networkx.DiGraph()
    full.add_nodes_from(sorted(line[0] for line in lines if len(line) == 1))
    full.add_edges_from(sorted(tuple(line) for line in lines if len(line) == 2))
    return networkx.transitive_reduction(full)


def drawing(dot: str) -> str:
    """Return the figure: boxes for the stages, inputs above outputs."""
    graph = stages_of(dot)
    connected = [name for name in sorted(graph) if graph.degree(name)]
    alone = [name for name in sorted(graph) if not graph.degree(name)]
    vertices = {name: Vertex(name) for name in connected}
    for name, vertex in vertices.items():
        vertex.view = Box(w=CHARACTER * len(short(name)) + 20)
    edges = [Edge(vertices[source], vertices[end]) for source, end in sorted(graph.edges)]
    laid_out = Graph(list(vertices.values()), edges)
    boxes: dict[str, tuple[float, float, float]] = {}
    left = 0.0
    for part in laid_out.C:
        layout = SugiyamaLayout(part)
        layout.xspace, layout.yspace = GAP_X, GAP_Y
        layout.init_all()
        layout.draw(6)
        views = {vertex.data: vertex.view for vertex in part.sV}
        start = left - min(view.xy[0] - view.w / 2 for view in views.values())
        boxes |= {name: (view.xy[0] + start, view.xy[1], view.w) for name, view in views.items()}
        left = max(x + w / 2 for x, _, w in boxes.values()) + GAP_X
    bottom = max(y for _, y, _ in boxes.values()) + HEIGHT + GAP_Y
    at = 0.0
    for name in alone:
        width = CHARACTER * len(short(name)) + 20
        boxes[name] = (at + width / 2, bottom, width)
        at += width + GAP_X
    top = min(y for _, y, _ in boxes.values()) - HEIGHT / 2 - MARGIN
    places = {name: (x + MARGIN, y - top, w) for name, (x, y, w) in boxes.items()}
    size_x = max(x + w / 2 for x, _, w in places.values()) + MARGIN
    size_y = max(y for _, y, _ in places.values()) + HEIGHT / 2 + MARGIN
    lines = [arrow(places[source], places[end]) for source, end in sorted(graph.edges)]
    parts = [box(name, *places[name]) for name in sorted(places)]
    return "\n".join([HEAD.format(w=size_x, h=size_y), *lines, *parts, "</svg>\n"])


def short(name: str) -> str:
    """Return a stage's name without its file."""
    return name.rpartition(":")[2]


def arrow(source: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    """Return a curve from the bottom of a box to the top of another."""
    (x0, y0, _), (x1, y1, _) = source, end
    y0, y1 = y0 + HEIGHT / 2, y1 - HEIGHT / 2
    bend = (y1 - y0) / 2
    return (
        f'<path d="M{x0:.0f} {y0:.0f}C{x0:.0f} {y0 + bend:.0f} {x1:.0f} {y1 - bend:.0f} '
        f'{x1:.0f} {y1:.0f}" fill="none" stroke="#8a94a6" stroke-width="1.2"/>'
    )


def box(name: str, x: float, y: float, width: float) -> str:
    """Return a box with the name of a stage."""
    return (
        f'<rect x="{x - width / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{width:.0f}" '
        f'height="{HEIGHT}" rx="5" fill="#eef3fb" stroke="#4a6fa5"/>'
        f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle" fill="#1b2a41">'
        f"{html.escape(short(name))}</text>"
    )
