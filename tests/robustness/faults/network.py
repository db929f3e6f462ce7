"""No network, and a mirror that answers with something else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch

from tests.robustness.faults.fault import INPUT, OUTPUT, Fault
from tests.small_report import PARAMS

PAGE = b"<!DOCTYPE html><title>Sorry</title>"


class _ErrorPage(BaseHTTPRequestHandler):
    """What every request is answered with, and status 200."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", f"{len(PAGE)}")
        self.end_headers()
        self.wfile.write(PAGE)

    do_CONNECT = do_GET  # noqa: N815 — of what is asked for by https, too

    def log_message(self, *_: object) -> None:
        pass


def _proxies(port: int) -> dict[str, str]:
    """Return the environment of a process whose requests all go to a port of this machine."""
    way = f"http://127.0.0.1:{port}"
    return {"http_proxy": way, "https_proxy": way, "no_proxy": ""}


@contextmanager
def _mirrors_with_an_error_page(folder: Path) -> Iterator[None]:
    """Send all requests to a server of our own; there is no client of a registry."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _ErrorPage) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        with patch.dict("os.environ", _proxies(server.server_port) | {"PATH": f"{folder}"}):
            yield
        server.shutdown()


@contextmanager
def _no_network(folder: Path) -> Iterator[None]:
    """Send all requests to a closed port; no earlier download is available."""
    closed = _proxies(9)  # the port "discard" of 1983
    with patch.dict("os.environ", closed | {"PATH": f"{folder}", "TORCH_HOME": f"{folder}"}):
        yield


def _fetched(folder: Path, _model: Path) -> list[str]:
    data_set = folder / INPUT / "fashion-mnist"
    data_set.mkdir()
    (data_set / "train-images-idx3-ubyte").write_text("the last good one")
    return ["stages.fetch", f"{folder / 'by-hand'}", f"{data_set}"]


def _weights(folder: Path, _model: Path) -> list[str]:
    text = PARAMS.replace("network: lenet", "network: efficientnet_b0")
    params = folder / INPUT / "params.yaml"
    params.write_text(text.replace("weights: none", "weights: pretrained"), encoding="utf-8")
    return ["stages.backbone", f"{params}", f"{folder / OUTPUT}"]


FAULTS = [
    Fault(
        "HTTP mirror that answers with an error page and status 200", _fetched,
        "File not found or corrupted.", 2, around=_mirrors_with_an_error_page,
    ),
    Fault("no network, for images", _fetched, "Connection refused", 2, around=_no_network),
    Fault(
        "no network, for weights", _weights, "efficientnet_b0: its weights cannot be had from ", 2,
        around=_no_network,
    ),
]  # fmt: skip
