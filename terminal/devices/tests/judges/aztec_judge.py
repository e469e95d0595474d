#!/usr/bin/env python3
"""Reads the Aztec code off the picture of a ticket with zxing-cpp, an implementation that shares
nothing with the one that made it, and prints its payload in hexadecimal.

    pip install zxing-cpp pillow
    python aztec_judge.py ticket.png [EXPECTED_HEX]

Exit status: 0 read (and equal to EXPECTED_HEX, if given), 1 unlike EXPECTED_HEX, 2 not read.
"""

import sys

import zxingcpp
from PIL import Image


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    # The card has round corners: what is outside of them counts as white.
    card = Image.open(sys.argv[1]).convert("RGBA")
    page = Image.new("RGBA", card.size, "white")
    page.alpha_composite(card)
    codes = zxingcpp.read_barcodes(page.convert("L"), formats=zxingcpp.BarcodeFormat.Aztec)
    if len(codes) != 1:
        print(f"{len(codes)} Aztec codes found", file=sys.stderr)
        return 2
    payload = bytes(codes[0].bytes).hex()
    print(payload)
    return 0 if len(sys.argv) == 2 or payload == sys.argv[2].lower() else 1


if __name__ == "__main__":
    sys.exit(main())
