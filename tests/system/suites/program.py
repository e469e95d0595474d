"""The program itself: taken ports, signals, a directory in use or of a newer version, and no child left behind."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess

from world import BIN, Process, World, command, until

# Where each listener's address is set, as a person would set it.
LISTENERS = {
    "web.listen": "GUICHET_WEB__LISTEN",
    "terminals.listen": "GUICHET_TERMINALS__LISTEN",
    "sandbox.page": "GUICHET_SANDBOX__PAGE",
    "sandbox.first_screen": "GUICHET_SANDBOX__FIRST_SCREEN",
}


def _children(word):
    """Processes whose command line has a word, by number."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line and int(entry.name) != os.getpid():
            found[int(entry.name)] = line
    return found


def _none_left(place):
    until(lambda: not _children(str(place)), f"no process of {place} is left: {_children(str(place))}", patience=30)


def _up(data, *more, env=None):
    args = [BIN, "up", "--json", "--free-ports", "--data", str(data), *more]
    return subprocess.run(args, capture_output=True, text=True, timeout=120, env={**os.environ, **(env or {})})


def check_taken_ports(place):
    """a taken port is named with the way out: site, terminals, sandbox page, terminal screen; no child is left"""
    for setting, variable in LISTENERS.items():
        data = place / setting
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            # --free-ports would set every address itself.
            env = {"GUICHET_DATA": str(data), **{name: "127.0.0.1:0" for name in LISTENERS.values()}, variable: f"127.0.0.1:{port}"}
            done = subprocess.run(
                [BIN, "up", "--sandbox", "--json", "--data", str(data)],
                capture_output=True, text=True, timeout=180, env={**os.environ, **env},
            )
        assert done.returncode == 1, (setting, done)
        for words in (f"port {port}", "taken", setting, variable, "--free-ports"):
            assert words in done.stderr, f"{setting}: {words} is not in {done.stderr}"
        _none_left(data)


def check_signals(place):
    """SIGTERM and SIGINT end the center and everything beside it, with exit code 0"""
    for name in ("SIGTERM", "SIGINT"):
        data = place / name
        center = Process("center", ["up", "--sandbox", "--json", "--free-ports", "--data", str(data)], place / "logs")
        # At once: whoever reads that it is up may stop it.
        center.child.send_signal(getattr(signal, name))
        assert center.child.wait(60) == 0, (name, center.tail())
        center.stop()
        _none_left(data)


def check_directory_in_use(place):
    """a second center on a directory in use is refused, with and without the first one's socket; the first goes on"""
    data = place / "data"
    with World(data) as world:
        before = _children(str(data))
        for gone in (False, True):
            if gone:
                (data / "admin.sock").rename(place / "admin.sock")
            for more in ([], ["--sandbox"]):
                second = _up(data, *more)
                assert second.returncode == 1 and not second.stdout, (gone, second)
                assert str(data) in second.stderr and "--data" in second.stderr, (gone, second.stderr)
                until(lambda: _children(str(data)).keys() == before.keys(), "the second one left no child", patience=30)
        (place / "admin.sock").rename(data / "admin.sock")
        card = world.card()
        assert world.terminal().purchase(card, world.book(card))["prompt_key"] == "done"
    _none_left(data)


def check_newer_directory(place):
    """a directory of a newer version is refused by every command, left as it is, and no child is left"""
    data = place / "data"
    data.mkdir()
    marker = data / "guichet.json"
    marker.write_text(json.dumps({"version": 99, "partitions": 2, "made_by": "7.0.0"}))
    kept = marker.read_text()
    for args in (["up", "--free-ports"], ["up", "--free-ports", "--sandbox"], ["audit"], ["settle"], ["explain", "T0000001"], ["operator", "status"]):
        refused = command(*args, "--data", str(data), check=False)
        assert refused.returncode == 1, (args, refused)
        for words in (str(data), "version 99", "newer program", "7.0.0"):
            assert words in refused.stderr, f"{args}: {words} is not in {refused.stderr}"
        _none_left(data)
    assert marker.read_text() == kept and [path.name for path in data.iterdir()] == ["guichet.json"]


# Commands that answer and end; terminal and sandbox run on and say in one line of JSON that they are ready.
ANSWERING = (
    ["up"], ["demo"], ["explain"], ["settle"], ["audit"], ["verify-ticket"], ["register-terminal"], ["operator", "status"],
    ["operator", "unpark"], ["operator", "count-print"], ["operator", "end-exception"], ["operator", "revoke-terminal"],
)


def check_json_beside_every_table(place):
    """every command that answers has --json; the twins and the terminal say in JSON that they are ready"""
    listed = command("--help").stdout
    verbs = set(re.findall(r"^  ([a-z-]+)  ", listed, re.M)) - {"help", "terminal", "sandbox"}
    assert verbs == {verb for verb, *_ in ANSWERING}, verbs
    for verb in ANSWERING:
        assert "--json" in command(*verb, "--help").stdout, verb
