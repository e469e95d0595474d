"""Looks for values that may lie nowhere in clear: in every file, in every form in which a program writes text or bytes."""

import base64
import os
import urllib.parse


class Quarry:
    """Values to look for, each with the forms it may have, and the files where it is at home."""

    def __init__(self):
        self.values = {}

    def text(self, what, value, home=()):
        """A text; one of digits alone is also looked for as binary-coded decimals."""
        forms = {"UTF-8": value.encode()}
        if value != urllib.parse.quote(value):
            forms["URL"] = urllib.parse.quote(value).encode()
            forms["URL form"] = urllib.parse.quote_plus(value).encode()
        if not value.isascii():
            forms["JSON escapes"] = value.encode("unicode_escape")
        for order in ("le", "be"):
            forms[f"UTF-16 {order}"] = value.encode(f"utf-16-{order}")
        if value.isdigit():
            forms["EBCDIC"] = value.encode("cp037")
            for gap in (" ", "-"):
                forms[f"in fours by {gap!r}"] = gap.join(value[at:at + 4] for at in range(0, len(value), 4)).encode()
        digits = value.replace("=", "D")
        if set(digits) <= set("0123456789D"):
            forms |= packed(digits)
        self.values[what] = (forms | octets(value.encode()), home)

    def octets(self, what, value, home=()):
        """Bytes: a key, a PIN block."""
        self.values[what] = ({"raw": value} | octets(value), home)

    def hunt(self, place):
        """Every find in a folder as (what, form, path under it)."""
        found = []
        for root, _, files in os.walk(place):
            for name in files:
                path = os.path.join(root, name)
                with open(path, "rb") as file:
                    content = file.read()
                where = os.path.relpath(path, place)
                found += [(what, form, where) for what, form in self.seen_in(content, where)]
        return sorted(found)

    def seen_in(self, content, where):
        """Every find in some bytes; `where` they are from decides what is at home there."""
        lower = content.lower()
        for what, (forms, home) in self.values.items():
            if any(part in where for part in home):
                continue
            for form, needle in forms.items():
                # Digits of hexadecimal are written large or small.
                hay, needle = (lower, needle.lower()) if form in FOLDED else (content, needle)
                if needle in hay:
                    yield what, form


FOLDED = ("hexadecimal", "URL", "URL form", "JSON escapes")


def octets(value):
    """Forms of bytes that programs write where text is due."""
    forms = {"hexadecimal": value.hex().encode()}
    if len(value) >= 8:
        # As `Debug` and JSON write arrays; shorter ones are in any list of numbers.
        forms["a list of numbers"] = ", ".join(map(str, value)).encode()
        forms["a dense list of numbers"] = ",".join(map(str, value)).encode()
    for before in range(3):
        # Whatever stands before it; the digits at both ends belong to the neighbours, too.
        whole = base64.b64encode(bytes(before) + value).rstrip(b"=")
        core = whole[(before * 8 + 5) // 6:len(whole) - (1 if (before + len(value)) % 3 else 0)]
        forms[f"base64 after {before}"] = core
        forms[f"base64url after {before}"] = core.translate(bytes.maketrans(b"+/", b"-_"))
    return forms


def packed(digits):
    """Two digits a byte, from an even or an odd place of what is around."""
    forms = {}
    for name, some in (("packed", digits), ("packed from the second digit", digits[1:])):
        forms[name] = bytes.fromhex(some[:len(some) // 2 * 2])
    # Zeros in a row are everywhere; a card's number with little else is seen in its other forms.
    return {name: form for name, form in forms.items() if len(form) >= 5 and len(set(form)) > 2}


def chacha20(key, nonce, sealed):
    """RFC 8439, 2.4, from block 1 on: what was sealed, if its tag is cut off."""
    def block(counter):
        words = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]
        words += [int.from_bytes(key[at:at + 4], "little") for at in range(0, 32, 4)]
        words += [counter] + [int.from_bytes(nonce[at:at + 4], "little") for at in range(0, 12, 4)]
        state = list(words)
        for _ in range(10):
            for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                               (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
                for left, right, turned, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                    state[left] = (state[left] + state[right]) & 0xffffffff
                    state[turned] ^= state[left]
                    state[turned] = (state[turned] << by | state[turned] >> 32 - by) & 0xffffffff
        return b"".join(((x + y) & 0xffffffff).to_bytes(4, "little") for x, y in zip(state, words))

    stream = b"".join(block(1 + n) for n in range(len(sealed) // 64 + 1))
    return bytes(x ^ y for x, y in zip(sealed, stream))


def vault_keys(vault):
    """Every key of a vault's keystore, as (number of its use, scope, key), and the storage key that seals it."""
    head = 12
    storage = (vault / "storage.key").read_bytes()[head:]
    sealed = (vault / "keystore.sealed").read_bytes()[head:]
    clear = chacha20(storage, sealed[:12], sealed[12:-16])
    keys, at = [], 2
    for _ in range(int.from_bytes(clear[:2], "big")):
        use, scope, length = clear[at], int.from_bytes(clear[at + 1:at + 5], "big"), clear[at + 17]
        keys.append((use, scope, clear[at + 18:at + 18 + length]))
        at += 18 + length
    assert at == len(clear), "the keystore has another form than this reads"
    return storage, keys
