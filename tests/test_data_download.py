"""Downloads from a server on loopback that can be told to misbehave."""

import hashlib
import http.server
import threading

import numpy as np
import pytest

from fastnn.data import download

CONTENT = np.random.default_rng(1).bytes(700_001)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.requests.append(asked)
        content = server.content
        if server.status:
            self.send_error(server.status)
            return
        begin = 0
        if asked and server.ranges:
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(content):
                self.send_error(416)
                return
        body = content[begin:]
        self.send_response(206 if asked and server.ranges else 200)
        if asked and server.ranges:
            shown = begin + server.range_error
            self.send_header("Content-Range", f"bytes {shown}-{len(content) - 1}/{len(content)}")
        if server.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        sent = body if server.cut is None else body[: server.cut]
        server.cut = None
        self.wfile.write(sent)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.content, httpd.requests = CONTENT, []
    httpd.ranges, httpd.lengths, httpd.cut, httpd.status, httpd.range_error = True, True, None, None, 0
    httpd.url = f"http://127.0.0.1:{httpd.server_address[1]}/file.bin"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("lengths", [True, False])
def test_download(server, tmp_path, lengths):
    server.lengths = lengths
    seen = []
    path = download(server.url, tmp_path / "new" / "file.bin", SHA256.upper(), progress=lambda *at: seen.append(at))
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["file.bin"]
    assert seen[0][0] == 0
    assert [at for at, _ in seen] == sorted(at for at, _ in seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT) if lengths else None)


def test_file_already_there_needs_no_server(tmp_path):
    (tmp_path / "file.bin").write_bytes(CONTENT)
    assert download("http://127.0.0.1:9/none", tmp_path / "file.bin", SHA256) == tmp_path / "file.bin"


def test_wrong_file_there_is_replaced(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"another")
    download(server.url, str(tmp_path / "file.bin"), SHA256, progress=False)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_broken_connection_is_resumed(server, tmp_path):
    server.cut = 300_000
    with pytest.raises(OSError, match="ended after 300000 of 700001 bytes; call again"):
        download(server.url, tmp_path / "file.bin", SHA256, progress=False)
    assert names(tmp_path) == ["file.bin.part"]
    seen = []
    download(server.url, tmp_path / "file.bin", SHA256, progress=lambda *at: seen.append(at))
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["file.bin"]
    assert server.requests == [None, "bytes=300000-"]
    assert seen[0] == (300_000, 700_001)


def test_server_without_ranges_starts_over(server, tmp_path):
    server.ranges = False
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    download(server.url, tmp_path / "file.bin", SHA256, progress=False)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_part_that_is_already_complete(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    download(server.url, tmp_path / "file.bin", SHA256, progress=False)
    assert server.requests == [f"bytes={len(CONTENT)}-"]
    assert names(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("stale", [b"x" * 5000, CONTENT + b"too long"])
def test_stale_part_is_fetched_anew(server, tmp_path, stale):
    (tmp_path / "file.bin.part").write_bytes(stale)
    download(server.url, tmp_path / "file.bin", SHA256, progress=False)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_wrong_checksum_leaves_nothing(server, tmp_path):
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(ValueError, match=f"has the SHA-256 .* expected {SHA256}"):
        download(server.url, tmp_path / "file.bin", SHA256, progress=False)
    assert names(tmp_path) == []


def test_wrong_range_is_refused(server, tmp_path):
    server.range_error = 1
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    with pytest.raises(OSError, match="answered a request for bytes 1000- with"):
        download(server.url, tmp_path / "file.bin", SHA256, progress=False)
    assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize("status", [403, 404, 416, 500])
def test_refusal_of_the_server(server, tmp_path, status):
    server.status = status
    with pytest.raises(OSError, match=str(status)):
        download(server.url, tmp_path / "file.bin", SHA256, progress=False)
    assert names(tmp_path) == []


def test_no_server(tmp_path):
    with pytest.raises(OSError, match="refused"):
        download("http://127.0.0.1:9/none", tmp_path / "file.bin", SHA256, progress=False)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/etc/passwd"])
def test_other_schemes_are_refused(tmp_path, url):
    with pytest.raises(ValueError, match="http or https"):
        download(url, tmp_path / "file.bin", SHA256)


@pytest.mark.parametrize("sha256", ["", "abc", SHA256[:-1] + "g", SHA256 + "0"])
def test_malformed_checksum(tmp_path, sha256):
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        download("http://127.0.0.1:9/none", tmp_path / "file.bin", sha256)


def test_bar_is_silent_where_there_is_no_terminal(server, tmp_path, capfd):
    download(server.url, tmp_path / "file.bin", SHA256)
    assert capfd.readouterr() == ("", "")
