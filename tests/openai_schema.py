"""The published description of OpenAI's API, against which answers are checked; it is there only where harness.SHARED is."""

import json

import harness

FILE = harness.SHARED / "data" / "openai_spec" / "openai_schemas.json"


def missing():
    """Why nothing can be checked, or None."""
    if not FILE.exists():
        return f"no specification at {FILE}"
    try:
        import jsonschema  # noqa: F401
    except ImportError:
        return "python3-jsonschema is not installed; ./dev setup test installs it"
    return None


def plain(value):
    """OpenAPI's words in those of JSON Schema."""
    if isinstance(value, dict):
        value = {name: plain(inner) for name, inner in value.items() if name != "discriminator"}
        nullable = value.pop("nullable", False)
        return {"anyOf": [value, {"type": "null"}]} if nullable is True else value
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def checker():
    """mistakes(name of a schema, body): what is wrong with it. Nothing ever is where missing() has a reason."""
    if reason := missing():
        print(f"not compared with the specification: {reason}", flush=True)
        return lambda name, body: []
    import jsonschema
    components = plain(json.loads(FILE.read_text())["components"])
    validators = {}

    def mistakes(name, body):
        if name not in validators:
            validators[name] = jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": components})
        return [f"{list(one.absolute_path)}: {one.message[:200]}" for one in validators[name].iter_errors(body)]
    return mistakes
