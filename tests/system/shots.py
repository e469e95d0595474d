#!/usr/bin/env python3
"""Makes the pictures of docs/screens anew: the site, the sandbox page, orders in each state, a ticket and a receipt.

   GUICHET_BIN=target/debug/guichet target/judges/bin/python tests/system/shots.py

The kiosk's pictures come from `browser:check_kiosk_previews` with SCREENS_DIR set to docs/screens.
"""

import pathlib
import tempfile

from PIL import Image

from suites.browser import _node, orders_in_every_state
from world import ROOT, World, command

SCREENS = ROOT / "docs/screens"


def ticket_and_receipt(place):
    command("demo", "--out", str(place / "demo"))
    papers = [Image.open(place / "demo" / name).convert("RGB") for name in ("ticket.png", "receipt.png")]
    gap = 40
    width = sum(paper.width for paper in papers) + 3 * gap
    both = Image.new("RGB", (width, max(paper.height for paper in papers) + 2 * gap), "#e9edf1")
    left = gap
    for paper in papers:
        both.paste(paper, (left, gap))
        left += paper.width + gap
    both.save(SCREENS / "ticket-and-receipt.png", optimize=True)


def main():
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        ticket_and_receipt(place)
        with World(place / "site") as world:
            _node("site.mjs", world.at["web"], world.card()["pan"], str(SCREENS))
        with World(place / "orders") as world:
            _node("orders.mjs", world.at["web"], *orders_in_every_state(place / "orders", world), str(SCREENS))
        with World(place / "sandbox") as world:
            card = world.card()
            world.book(card)
            _node("sandbox.mjs", world.at["page"], card["pin"], str(SCREENS))


if __name__ == "__main__":
    main()
