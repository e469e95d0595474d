"""Captured traffic and printed codes, judged by implementations of others."""

import json
import pathlib
import subprocess
import sys

from world import BIN, ROOT, World, call, command


def _wire(place, dialect):
    with World(place / "data", dialect=dialect) as world:
        card = world.card()
        terminal = world.terminal()
        terminal.purchase(card, world.book(card))
        order = world.book(card)
        terminal.to_pin(card, order)
        terminal.keys(["cancel"])
        terminal.until_screen("problem")
        capture = place / "capture.json"
        capture.write_bytes(call(f"{world.at['bank']}/wire", raw=True))
    codec = pathlib.Path(BIN).parent / "examples/iso8583_lines"
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/judges/iso8583_judge.py"), "check",
         "--dialect", str(ROOT / f"gateways/iso8583/dialects/{dialect}.toml"), "--codec", str(codec), str(capture)],
        capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    print("  " + done.stdout.strip().splitlines()[-1])


def check_pyiso8583_ascii(place):
    """pyiso8583 decodes the captured ASCII traffic"""
    _wire(place, "ascii")


def check_pyiso8583_bcd(place):
    """pyiso8583 decodes the captured BCD traffic"""
    _wire(place, "bcd")


def check_aztec(place):
    """zxing-cpp reads the printed code; it verifies, and is refused with one bit changed"""
    import PIL.Image
    import zxingcpp

    out, data = place / "out", place / "data"
    command("demo", "--out", str(out), "--data", str(data), "--json")
    image = PIL.Image.open(out / "ticket.png").convert("L")
    codes = [c for c in zxingcpp.read_barcodes(image) if c.format == zxingcpp.BarcodeFormat.Aztec]
    assert len(codes) == 1, codes
    code = bytes(codes[0].bytes)
    good = json.loads(command("verify-ticket", code.hex(), "--data", str(data), "--json").stdout)
    assert good["verdict"] == "valid", good
    with World(data):
        asked = json.loads(command("verify-ticket", code.hex(), "--data", str(data), "--json").stdout)
        assert asked == good, "a running center says the same"
    for bit in range(0, len(code) * 8, 37):
        bad = bytearray(code)
        bad[bit // 8] ^= 1 << (bit % 8)
        told = command("verify-ticket", bytes(bad).hex(), "--data", str(data), "--json", check=False)
        verdict = json.loads(told.stdout)["verdict"]
        assert told.returncode != 0 and verdict in ("forged", "malformed", "unknown_key"), (bit, verdict)
