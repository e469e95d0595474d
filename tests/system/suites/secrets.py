"""No card number, track, PIN or PIN block in any file or log of center and terminals."""

import os

from world import World


def check_no_secret_in_any_file(place):
    """canary values are in no file, log or journal after purchases and refusals"""
    data = place / "data"
    with World(data, env={"GUICHET_LOG": "debug"}) as world:
        card = world.card()
        terminal = world.terminal()
        terminal.purchase(card, world.book(card))
        order = world.book(card)
        terminal.to_pin(card, order)
        terminal.pin("9" * 4 if card["pin"] != "9999" else "8888")
        terminal.until_screen("pin_entry", "problem")
        canaries = {"PAN": card["pan"], "track 2": card["track2"]}
    found = []
    for root, _, files in os.walk(place):
        for name in files:
            path = os.path.join(root, name)
            # What twins keep for themselves stands for somebody else's disk.
            if "/sandbox/provider" in path or "/devices/" in path or name.startswith(("bank.log", "devices-")):
                continue
            content = open(path, "rb").read()
            for what, value in canaries.items():
                for form in (value.encode(), value.encode().hex().encode(), value.encode("utf-16-le")):
                    if form in content:
                        found.append(f"{what} in {path}")
                digits = value.replace("=", "D")
                packed = bytes.fromhex(digits if len(digits) % 2 == 0 else digits + "F")
                if len(packed) > 6 and packed in content:
                    found.append(f"{what}, packed, in {path}")
    assert not found, found
    logs = (place / "logs" / "center.log").read_text(errors="replace")
    assert "bank message" in logs, "the log was looked at while it was empty"
