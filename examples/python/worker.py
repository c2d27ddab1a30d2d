#!/usr/bin/env python3
"""A worker in another language: reads a payload of wire format 1 and the rows of now behind its references.

    node -e '…serializer.serialize(…)…' | python3 worker.py postgresql://localhost/shop

Needs the standard library, and psql for the rows; without a database it prints the decoded value. The format is
described by schema/wire-v1.schema.json. What a model is called on the wire, and where its rows are, is for each worker
to know: see MODELS.
"""

import base64
import binascii
import hashlib
import hmac
import json
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


@dataclass(frozen=True)
class Reference:
    """<model, primary key>: the name of a row. A composite key is a tuple."""

    model: str
    key: object
    schema: str | None = None


@dataclass(frozen=True)
class Named:
    """A value object, or a copy of an entity: its name and its data, for the worker to make something of."""

    name: str
    data: object


class Malformed(ValueError):
    """The payload is none, and no retry will help."""


class Undefined:
    """JavaScript's undefined, which is not null."""

    def __repr__(self):
        return "undefined"


UNDEFINED = Undefined()


def read_date(body):
    # datetime has no years before 1 or after 9999; a worker that needs them keeps the text.
    return datetime.strptime(body, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


def read_token(body):
    model, key, *details = body
    schema = details[0].get("schema") if details else None
    return Reference(model, tuple(map(decode, key)) if isinstance(key, list) else decode(key), schema)


# Keys may be anything in a Map, so it stays a list of pairs; so does a Set, whose items need not be hashable.
TAGS = {
    "$entity": read_token,
    "$token": read_token,
    "$value": lambda body: Named(body[0], decode(body[1])),
    "$snapshot": lambda body: Named(body[0], decode(body[1])),
    "$date": read_date,
    "$bigint": int,
    "$bytes": lambda body: base64.b64decode(body, validate=True),
    "$url": str,
    "$map": lambda body: [(decode(key), decode(value)) for key, value in body],
    "$set": lambda body: [decode(item) for item in body],
    "$undefined": lambda _: UNDEFINED,
    "$number": lambda body: float(body.replace("Infinity", "inf")),
    "$string": lambda body: json.loads(f'"{body}"'),
    "$object": lambda body: {decode(key): decode(value) for key, value in body},
}


def decode(value):
    """The Python value behind JSON of wire format 1."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    tags = [key for key in value if key.startswith("$") and not key.startswith("$$")]
    if not tags:
        # A key of the data's own that starts with $ has one more.
        return {key[1:] if key.startswith("$") else key: decode(item) for key, item in value.items()}
    if len(value) > 1 or tags[0] not in TAGS:
        raise Malformed(f"unknown tag {tags[0]}")
    try:
        return TAGS[tags[0]](value[tags[0]])
    except (TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise Malformed(f"{tags[0]}: {error}") from error


def read(text):
    """The value of a payload."""
    envelope = json.loads(text)
    if not isinstance(envelope, dict) or "$byref" not in envelope:
        raise Malformed("no envelope")
    if envelope["$byref"] != 1:
        raise RuntimeError("a newer release wrote this payload: retry after the deploy")
    return decode(envelope["data"])


def canonical(value):
    """RFC 8785, but for floats outside 1e-4 … 1e16, which Python writes in another way."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def is_signed(envelope, secret, purpose):
    """True for an envelope signed with this secret for this purpose, and not expired."""
    unsigned = {key: value for key, value in envelope.items() if key != "signature"}
    context = f"mikro-orm-byref:payload:{purpose}".encode()
    # HKDF (RFC 5869) without salt, one block.
    extracted = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    key = hmac.new(extracted, context + b"\x01", hashlib.sha256).digest()
    mac = hmac.new(key, canonical(unsigned).encode(), hashlib.sha256).digest()
    expected = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    if not hmac.compare_digest(expected, str(envelope.get("signature"))):
        return False
    return "expiresAt" not in envelope or datetime.now(timezone.utc) < read_date(envelope["expiresAt"])


def references(value):
    """Every reference in a value, in document order."""
    if isinstance(value, Reference):
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
    """The rows of now: one query per model."""
    rows = {}
    for name in dict.fromkeys(reference.model for reference in found):
        if name not in MODELS:
            raise Malformed(f"no such model here: {name}")
        model = MODELS[name]
        keys = list(dict.fromkeys(str(reference.key) for reference in found if reference.model == name))
        # psql quotes :'keys'; no text of the payload becomes SQL.
        query = (
            f"select json_build_object('key', \"{model.key}\"::text, 'row', to_json(t)) from \"{model.table}\" t"
            f" where \"{model.key}\" in (select value::{model.key_type} from json_array_elements_text(:'keys'))"
        )
        result = subprocess.run(
            ["psql", url, "-XqAt", "-v", "ON_ERROR_STOP=1", "-v", f"keys={json.dumps(keys)}"],
            input=query, text=True, capture_output=True, check=True,
        )
        for line in result.stdout.splitlines():
            row = json.loads(line)
            rows[name, row["key"]] = row["row"]
    return rows


def main(text, url=None):
    value = read(text)
    found = list(references(value))
    rows = rows_of(url, found) if url else {}
    missing = [reference for reference in found if url and (reference.model, str(reference.key)) not in rows]
    if missing:
        sys.exit(f"no such row: {missing}")

    def plain(item):
        if isinstance(item, Reference):
            return rows.get((item.model, str(item.key)), repr(item))
        return vars(item) if isinstance(item, Named) else repr(item)

    print(json.dumps(value, default=plain, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.stdin.read(), *sys.argv[1:])
