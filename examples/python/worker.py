#!/usr/bin/env python3
"""A worker in another language: reads a payload of wire format 1 and the current rows behind its references.

    node -e '…serializer.serialize(…)…' | python3 worker.py postgresql://localhost/shop [schema…]

Needs the standard library, and psql for the rows; without a database it prints the decoded value. Tokens may name the
schemas that are given, and no others. BYREF_SECRET in the environment verifies signatures, and BYREF_PURPOSE demands
one for that purpose. The format is described by schema/wire-v1.schema.json. What a model is called on the wire, and
where its rows are, is for each worker to know: see MODELS and VALUES. It is as strict as the reader in TypeScript.
"""

import base64
import hashlib
import hmac
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timezone


@dataclass(frozen=True)
class Model:
    table: str
    key: str
    key_type: str


MODELS = {
    "User": Model("user", "id", "int"),
    "Post": Model("post", "id", "int"),
    "Comment": Model("comment", "id", "bigint"),
    "Tag": Model("tag", "id", "uuid"),
}

# The names of the value objects that this worker can make something of.
VALUES = {"Money"}

DEPTH, NODES, TOKENS, LENGTH, DIGITS, NUMBER_KEYS = 200, 1_000_000, 100_000, 64 * 2**20, 10_000, 10_000

# A level of a payload is up to three of JSON, and each takes a few calls.
sys.setrecursionlimit(5_000)
sys.set_int_max_str_digits(DIGITS)


@dataclass(frozen=True)
class Reference:
    """<model, primary key>: the name of a row. A composite key is a tuple."""

    model: str
    key: object
    schema: str | None = None


class Entity(Reference):
    """One whose row is wanted; a Reference that is no Entity is a value itself."""


@dataclass(frozen=True)
class Named:
    """A value object, or a copy of an entity: its name and its data, for the worker to make something of."""

    name: str
    data: object


class Malformed(ValueError):
    """The payload is none, or not to be trusted, and no retry will help."""


class TooNew(Exception):
    """A newer release wrote the payload: retry after the deploy."""


class Undefined:
    """JavaScript's undefined, which is not null."""

    def __repr__(self):
        return "undefined"


UNDEFINED = Undefined()


def require(condition, expected):
    if not condition:
        raise Malformed(f"expected {expected}")


def is_number(value):
    """True is 1 in Python, and in JSON it is not; nor has that an infinity."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_integer(value):
    return is_number(value) and value == math.floor(value) and abs(value) < 2**53


def is_name(value):
    """Text that PostgreSQL can hold: no NUL, no lone surrogate."""
    return isinstance(value, str) and value != "" and is_storable(value)


def is_storable(text):
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def read_date(body):
    # datetime has no years before 1 or after 9999; a worker that needs them keeps the text.
    match = isinstance(body, str) and re.fullmatch(
        r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})Z", body, re.ASCII
    )
    require(match, "an ISO 8601 date in UTC with milliseconds")
    *parts, milliseconds = map(int, match.groups())
    return datetime(*parts, milliseconds * 1_000, timezone.utc)


def read_bigint(body):
    require(isinstance(body, str) and len(body) <= DIGITS, f"a text of at most {DIGITS} digits")
    require(re.fullmatch(r"0|-?[1-9][0-9]*", body), "decimal digits")
    return int(body)


def read_bytes(body):
    require(isinstance(body, str), "base64")
    data = base64.b64decode(body, validate=True)
    require(base64.b64encode(data).decode() == body, "base64 in its canonical form")
    return data


def read_url(body):
    # The standard library does not write URLs in WHATWG's normal form; this refuses what is far from it.
    require(isinstance(body, str) and re.match(r"[a-z][a-z0-9+.-]*:", body), "an absolute URL")
    require(re.fullmatch(r"[!-~]+", body), "an URL in its normal form")
    special = re.match(r"(?:https?|wss?|ftp)://([^/?#]+)/|(?!https?:|wss?:|ftp:)", body)
    require(special and (special[1] is None or special[1] == special[1].lower() or "@" in special[1]), "a host")
    return body


def read_number(body):
    require(body in ("NaN", "Infinity", "-Infinity", "-0"), "a number that JSON does not have")
    return float(body.replace("Infinity", "inf"))


def read_string(body):
    require(isinstance(body, str), "the inside of a JSON string literal")
    return json.loads(f'"{body}"')


def read_undefined(body):
    require(body is True, "true")
    return UNDEFINED


KEY_TAGS = {"$bigint": read_bigint, "$bytes": read_bytes, "$date": read_date}


def read_key_part(wire):
    """One part of a key, of whatever type."""
    if isinstance(wire, dict) and len(wire) == 1:
        ((tag, body),) = wire.items()
        require(tag in KEY_TAGS and len(str(body)) <= DIGITS, "a part of a key")
        return KEY_TAGS[tag](body)
    if isinstance(wire, str):
        require(is_storable(wire) and len(wire) <= DIGITS, "a text without NUL or lone surrogates")
    else:
        require(isinstance(wire, bool) or is_number(wire), "a part of a key")
    return wire


def read_key(wire):
    if not isinstance(wire, list):
        return read_key_part(wire)
    require(len(wire) > 1, "two parts of a key or more")
    return tuple(map(read_key_part, wire))


def read_token(body):
    require(isinstance(body, list) and 2 <= len(body) <= 3, "[model, key] or [model, key, details]")
    model, wire = body[:2]
    details = body[2] if len(body) == 3 else {}
    require(is_name(model), "a name as model")
    require(isinstance(details, dict) and details.keys() <= {"schema", "version"}, "a token's details")
    require("schema" not in details or is_name(details["schema"]), "a name as schema")
    if "version" in details and not is_integer(details["version"]):
        version = details["version"]
        require(isinstance(version, dict) and list(version) == ["$date"], "an integer or a date as version")
        read_date(version["$date"])
    return Reference(model, read_key(wire), details.get("schema"))


def read_int4(wire):
    require(is_integer(wire) and -(2**31) <= wire < 2**31, "an integer of four bytes as key")
    return int(wire)


def read_int8(wire):
    # Of a token from before the column was this wide.
    if is_integer(wire) and -(2**53) < wire < 2**53:
        return int(wire)
    require(isinstance(wire, dict) and list(wire) == ["$bigint"], "a bigint as key")
    key = read_bigint(wire["$bigint"])
    require(-(2**63) <= key < 2**63, "an integer of eight bytes as key")
    return key


def read_uuid(wire):
    pattern = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    require(isinstance(wire, str) and re.fullmatch(pattern, wire, re.ASCII | re.IGNORECASE), "a uuid as key")
    return wire.lower()


# A key of another type than its column's must not reach the database.
KEYS = {"int": read_int4, "bigint": read_int8, "uuid": read_uuid}


def pairs(body, expected):
    require(isinstance(body, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in body), expected)
    return body


class Decoder:
    """Reads the data of one payload, and counts what it holds."""

    def __init__(self, schemas=()):
        self.schemas = schemas
        self.nodes = self.tokens = self.number_keys = self.depth = 0
        # Keys may be anything in a Map, so it stays a list of pairs; so does a Set, whose items need not be hashable.
        self.tags = {
            "$entity": self.entity,
            "$token": read_token,
            "$value": self.value,
            "$snapshot": self.snapshot,
            "$date": read_date,
            "$bigint": read_bigint,
            "$bytes": read_bytes,
            "$url": read_url,
            "$map": self.map,
            "$set": self.set,
            "$undefined": read_undefined,
            "$number": read_number,
            "$string": read_string,
            "$object": self.object,
        }

    def decode(self, value):
        self.nodes += 1
        require(self.nodes <= NODES, f"at most {NODES} values")
        if isinstance(value, (str, bool)) or value is None:
            return value
        if not isinstance(value, (list, dict)):
            require(is_number(value), "a finite number")
            return value
        self.depth += 1
        require(self.depth <= DEPTH, f"at most {DEPTH} levels")
        decoded = [self.decode(item) for item in value] if isinstance(value, list) else self.tagged(value)
        self.depth -= 1
        return decoded

    def tagged(self, value):
        tags = [key for key in value if key.startswith("$") and not key.startswith("$$")]
        if tags:
            require(len(value) == 1 and tags[0] in self.tags, f"a known tag that stands alone, not {tags[0]:.40}")
            return self.tags[tags[0]](value[tags[0]])
        # JavaScript would swap the prototype; such an object travels as $object.
        require("__proto__" not in value, "no key __proto__")
        # A key of the data's own that starts with $ has one more.
        return {key[1:] if key.startswith("$") else key: self.decode(item) for key, item in value.items()}

    def entity(self, body):
        self.tokens += 1
        require(self.tokens <= TOKENS, f"at most {TOKENS} references")
        reference = read_token(body)
        require(reference.model in MODELS, f"a known model, not {reference.model:.40}")
        require(reference.schema is None or reference.schema in self.schemas, "a schema that is admitted")
        details = body[2] if len(body) == 3 else {}
        require("version" not in details or is_integer(details["version"]), "an integer as version")
        return Entity(reference.model, KEYS[MODELS[reference.model].key_type](body[1]), reference.schema)

    def named(self, body, names):
        require(isinstance(body, list) and len(body) == 2 and isinstance(body[0], str), "[name, data]")
        require(body[0] in names, f"a known name, not {body[0]:.40}")
        return Named(body[0], self.decode(body[1]))

    def value(self, body):
        return self.named(body, VALUES)

    def snapshot(self, body):
        named = self.named(body, MODELS)
        require(isinstance(body[1], dict) and isinstance(named.data, dict), "an object as a copy")
        require("$object" not in body[1], "an object as a copy")
        return named

    def map(self, body):
        entries = [(self.decode(key), self.decode(value)) for key, value in pairs(body, "[key, value]…")]
        self.count_keys(key for key, _ in entries)
        return entries

    def set(self, body):
        require(isinstance(body, list), "an array")
        items = [self.decode(item) for item in body]
        self.count_keys(items)
        return items

    def object(self, body):
        entries = [(self.decode(key), self.decode(value)) for key, value in pairs(body, "[key, value]…")]
        require(all(isinstance(key, str) for key, _ in entries), "strings as keys")
        require(len(dict(entries)) == len(entries), "different keys")
        return dict(entries)

    def count_keys(self, keys):
        self.number_keys += sum(map(is_number, keys))
        require(self.number_keys <= NUMBER_KEYS, f"at most {NUMBER_KEYS} numbers as keys")


def decode(value, schemas=()):
    """The Python value behind JSON of wire format 1. Raises Malformed, and nothing else."""
    try:
        return Decoder(schemas).decode(value)
    except Malformed:
        raise
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error


def read_integer(text):
    """JavaScript reads integers as doubles: beyond them there is none."""
    require(math.isfinite(float(text)), "a finite number")
    return int(text)


def no_json(text):
    raise Malformed(f"{text} is no JSON")


def parse(text):
    try:
        require(len(text) <= LENGTH, f"at most {LENGTH} characters")
        return json.loads(text, parse_int=read_integer, parse_constant=no_json)
    except Malformed:
        raise
    except (ValueError, RecursionError) as error:
        raise Malformed("not JSON") from error


def read(text, secret=None, purpose=None, schemas=()):
    """The value of a payload. Its signature comes before what it says. Raises Malformed and TooNew."""
    envelope = parse(text)
    require(isinstance(envelope, dict) and "$byref" in envelope, "an envelope")
    version = envelope["$byref"]
    require(is_integer(version) and version >= 1, "a positive integer as version")
    if version > 1:
        raise TooNew("a newer release wrote this payload: retry after the deploy")
    require("data" in envelope, "data")
    if purpose is not None or "signature" in envelope:
        claimed = envelope.get("purpose")
        require(secret is not None and is_signed(envelope, secret, purpose or claimed), "a signature to be trusted")
    return decode(envelope["data"], schemas)


def number_text(value):
    """A number as ECMAScript writes it."""
    value = float(value)
    if value == 0:
        return "0"
    if value < 0:
        return f"-{number_text(-value)}"
    # Python finds the same shortest digits.
    digits, _, power = f"{value!r}e0".partition("e")
    whole, _, fraction = digits.partition(".")
    point = len(whole) + int(power.partition("e")[0])
    digits = whole + fraction
    point -= len(digits) - len(digits.lstrip("0"))
    digits = digits.strip("0")
    if len(digits) <= point <= 21:
        return digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def canonical(value):
    """RFC 8785. Raises ValueError for what has no canonical form."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return number_text(value) if is_number(value) else json.dumps(value, ensure_ascii=False)


def is_signed(envelope, secret, purpose):
    """True for an envelope signed with this secret for this purpose, and not expired."""
    claimed, signature = envelope.get("purpose"), envelope.get("signature")
    if not (isinstance(claimed, str) and 0 < len(claimed) <= 256 and isinstance(signature, str)):
        return False
    unsigned = {key: value for key, value in envelope.items() if key != "signature"}
    try:
        context = f"mikro-orm-byref:payload:{purpose}".encode()
        # HKDF (RFC 5869) without salt, one block.
        extracted = hmac.new(bytes(32), secret, hashlib.sha256).digest()
        key = hmac.new(extracted, context + b"\x01", hashlib.sha256).digest()
        mac = hmac.new(key, canonical(unsigned).encode(), hashlib.sha256).digest()
        expected = base64.urlsafe_b64encode(mac).rstrip(b"=")
        if not hmac.compare_digest(expected, signature.encode()):
            return False
        return "expiresAt" not in envelope or datetime.now(timezone.utc) < read_date(envelope["expiresAt"])
    except (ValueError, RecursionError):
        return False


def references(value):
    """Every reference in a value, in document order."""
    if isinstance(value, Entity):
        yield value
    elif isinstance(value, Named):
        yield from references(value.data)
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from references(item)


def rows_of(url, found):
    """The current rows, by reference: one query per model and schema."""
    keys = {}
    for reference in found:
        keys.setdefault((reference.model, reference.schema), {})[str(reference.key)] = reference
    rows = {}
    for (name, schema), wanted in keys.items():
        model = MODELS[name]
        table = ".".join('"' + part.replace('"', '""') + '"' for part in (schema, model.table) if part is not None)
        # Base64 has no quotes: no text of the payload becomes SQL.
        text = base64.b64encode(json.dumps(list(wanted)).encode()).decode()
        query = (
            f"select json_build_object('key', \"{model.key}\"::text, 'row', to_json(t)) from {table} t"
            f" where \"{model.key}\" in (select value::{model.key_type} from json_array_elements_text("
            f"convert_from(decode('{text}', 'base64'), 'utf8')::json))"
        )
        result = subprocess.run(
            ["psql", url, "-XqAt", "-v", "ON_ERROR_STOP=1"], input=query, text=True, capture_output=True, check=True
        )
        for line in result.stdout.splitlines():
            row = json.loads(line)
            rows[wanted[row["key"]]] = row["row"]
    return rows


def shown(value, rows):
    """What there is to print: JSON."""
    if isinstance(value, Reference):
        return rows.get(value, repr(value))
    if isinstance(value, Named):
        return {"name": value.name, "data": shown(value.data, rows)}
    if isinstance(value, dict):
        return {key: shown(item, rows) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(item, rows) for item in value]
    is_plain = value is None or isinstance(value, (str, bool)) or is_number(value)
    return value if is_plain else repr(value)


def main(text, url=None, *schemas):
    secret = os.environ.get("BYREF_SECRET")
    value = read(text, secret and secret.encode(), os.environ.get("BYREF_PURPOSE"), schemas)
    found = list(references(value))
    rows = rows_of(url, found) if url else {}
    missing = [reference for reference in found if url and reference not in rows]
    if missing:
        sys.exit(f"no such row: {ascii(missing[:5])}")
    # In ASCII: nothing in it is obeyed by a terminal.
    print(json.dumps(shown(value, rows), indent=2))


if __name__ == "__main__":
    try:
        main(sys.stdin.buffer.read().decode(), *sys.argv[1:])
    except ValueError as error:
        sys.exit(f"Malformed: {ascii(str(error))}")
    except (TooNew, subprocess.CalledProcessError) as error:
        # Not the command itself: the URL holds a password.
        reason = error if isinstance(error, TooNew) else f"psql ended with {error.returncode}"
        print(f"try again later: {reason}", file=sys.stderr)
        sys.exit(os.EX_TEMPFAIL)
