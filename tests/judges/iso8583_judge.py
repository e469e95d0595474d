#!/usr/bin/env python3
"""A second opinion on ISO 8583 messages, by pyiso8583 (PyPI, 4.0 or later; Python 3.11 or later).

The specification that pyiso8583 needs is built from the same dialect table that the product
reads, so a table is judged as well as the codec.

    iso8583_judge.py decode --dialect gateways/iso8583/dialects/ascii.toml CAPTURE
        prints one JSON object for each message: {"mti": "0200", "fields": {"3": "000000", ...}}
    iso8583_judge.py encode --dialect ... MESSAGES
        reads such objects, one a line, and prints one line of hexadecimal for each
    iso8583_judge.py check --dialect ... --codec PROGRAM CAPTURE
        PROGRAM is the codec under judgement with the same decode and encode
        (cargo build -p guichet-iso8583 --example iso8583_lines). Both decode the capture and
        must agree; the judge encodes what the codec decoded and must give the captured bytes;
        the codec decodes what the judge encoded. Exit code 1 on any difference.

CAPTURE holds message bodies in hexadecimal, one a line, or is the JSON that the bank twin
answers at /wire. Bodies that are meant to be broken are left out with --skip-undecodable.
Binary elements are hexadecimal and the separator of track data is "=".
"""

import argparse
import json
import subprocess
import sys
import tomllib

import iso8583


def character(coding):
    """pyiso8583's name of a character coding."""
    return {"ascii": "ascii", "ebcdic": "cp037", "bcd": "b"}[coding]


class Table:
    """A dialect's table and the specification made from it."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.raw = tomllib.load(file)
        coding = self.raw["coding"]
        self.tracks = set()
        self.spec = {
            "h": fixed("b", 0),
            "t": packed_or_text(coding["mti"], 4),
        }
        bitmap = fixed("b", 8) if coding["bitmap"] == "raw" else fixed("ascii", 16)
        self.spec["p"] = bitmap
        self.spec["1"] = dict(bitmap)
        for number in range(2, 129):
            self.spec[str(number)] = fixed("ascii", 0)
        for row in self.raw["field"]:
            self.spec[str(row["de"])] = self.element(row, coding)

    def element(self, row, coding):
        kind, variable = row["kind"], row["length"] != "fixed"
        prefix = {"fixed": 0, "ll": 2, "lll": 3}[row["length"]]
        if kind == "b":
            raw = row.get("binary", coding["binary"]) == "raw"
            spec = fixed("b", row["max"]) if raw else fixed("ascii", row["max"] * 2)
            if variable and not raw and row.get("counts", "bytes") != "digits":
                sys.exit(f"DE {row['de']}: pyiso8583 cannot count bytes of hexadecimal text")
        else:
            numeric = kind in ("n", "z", "xn")
            used = row.get("coding", coding["numeric"] if numeric else coding["text"])
            if used == "bcd" and kind == "xn":
                sys.exit(f"DE {row['de']}: pyiso8583 cannot pack a signed amount")
            spec = packed_or_text(used, row["max"])
            if used == "bcd":
                side = row.get("pad", coding.get("odd_variable", "right") if variable
                               else coding.get("odd_fixed", "left"))
                nibble = format(row.get("nibble", coding.get("pad_nibble", 0)), "X")
                del spec["left_pad"]
                spec[f"{side}_pad"] = nibble
            elif row.get("any_byte"):
                spec["data_enc"] = "latin-1"
            if kind == "z" and not row.get("any_byte"):
                self.tracks.add(str(row["de"]))
        if variable:
            packed = coding["length"] == "bcd"
            spec["len_enc"] = "bcd" if packed else character(coding["length"])
            spec["len_type"] = (prefix + 1) // 2 if packed else prefix
        return spec

    def decode(self, body):
        decoded, _ = iso8583.decode(body, self.spec)
        fields = {}
        for key, value in decoded.items():
            if key in ("h", "t", "p", "1"):
                continue
            if key in self.tracks:
                value = value.replace(self.raw["coding"]["track_separator"], "=")
            fields[key] = value
        return {"mti": decoded["t"], "fields": fields}

    def encode(self, message):
        document = {"h": "", "t": message["mti"]}
        for key, value in message["fields"].items():
            if key in self.tracks:
                value = value.replace("=", self.raw["coding"]["track_separator"])
            document[key] = value
        encoded, _ = iso8583.encode(document, self.spec)
        return bytes(encoded)


def fixed(coding, length):
    return {"data_enc": coding, "len_enc": "ascii", "len_type": 0, "max_len": length, "desc": ""}


def packed_or_text(coding, length):
    spec = fixed(character(coding), length)
    if coding == "bcd":
        spec["len_count"] = "nibbles"
        spec["left_pad"] = "0"
    return spec


def bodies(path):
    text = sys.stdin.read() if path == "-" else open(path, encoding="utf-8").read()
    if text.lstrip().startswith("{"):
        return [bytes.fromhex(frame["hex"]) for frame in json.loads(text)["frames"]]
    return [bytes.fromhex(line) for line in text.split()]


def line(message):
    return json.dumps(message, sort_keys=True, ensure_ascii=False)


def run(program, verb, dialect, lines):
    done = subprocess.run(
        [program, verb, "--dialect", dialect, "-"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{program} {verb} failed: {done.stderr}")
    return done.stdout.splitlines()


def check(table, options):
    captured, judged, left_out = [], [], 0
    for body in bodies(options.file):
        try:
            judged.append(line(table.decode(body)))
            captured.append(body)
        except iso8583.DecodeError as error:
            if not options.skip_undecodable:
                sys.exit(f"the judge does not decode {body.hex()}: {error}")
            left_out += 1
    wrong = 0
    hexes = [body.hex().upper() for body in captured]
    ours = [line(json.loads(text)) for text in run(options.codec, "decode", options.dialect, hexes)]
    for body, one, other in zip(captured, judged, ours, strict=True):
        if one != other:
            wrong += 1
            print(f"decoded differently: {body.hex()}\n  judge {one}\n  codec {other}")
    encoded = [table.encode(json.loads(text)).hex().upper() for text in ours]
    for body, other in zip(hexes, encoded, strict=True):
        if body != other:
            wrong += 1
            print(f"encoded differently:\n  captured {body}\n  judge    {other}")
    again = [line(json.loads(text)) for text in run(options.codec, "decode", options.dialect, encoded)]
    wrong += sum(one != other for one, other in zip(ours, again, strict=True))
    built = run(options.codec, "encode", options.dialect, judged)
    for body, other in zip(hexes, built, strict=True):
        if body != other:
            wrong += 1
            print(f"the codec encodes what the judge decoded differently:\n  {body}\n  {other}")
    summary = {"dialect": table.raw["name"], "messages": len(captured), "differences": wrong,
               "left_out": left_out}
    print(json.dumps(summary))
    return 1 if wrong or not captured else 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=["decode", "encode", "check"])
    parser.add_argument("--dialect", required=True, help="the dialect's table (TOML)")
    parser.add_argument("--codec", help="the program under judgement, for check")
    parser.add_argument("--skip-undecodable", action="store_true")
    parser.add_argument("file", help="capture or messages; - for standard input")
    options = parser.parse_args()
    table = Table(options.dialect)
    if options.verb == "check":
        if not options.codec:
            parser.error("check needs --codec")
        return check(table, options)
    if options.verb == "decode":
        for body in bodies(options.file):
            try:
                print(line(table.decode(body)))
            except iso8583.DecodeError as error:
                if not options.skip_undecodable:
                    print(f"cannot decode {body.hex()}: {error}", file=sys.stderr)
                    return 1
        return 0
    text = sys.stdin if options.file == "-" else open(options.file, encoding="utf-8")
    for row in text:
        if row.strip():
            print(table.encode(json.loads(row)).hex().upper())
    return 0


if __name__ == "__main__":
    sys.exit(main())
