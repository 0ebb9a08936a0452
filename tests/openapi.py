"""Checks answers of the admin API against its own description, as far as the description goes: JSON Schema's type, anyOf, enum, properties,
additionalProperties, required, items, minimum, maximum and local references."""

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def is_type(value, name):
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


class Description:
    def __init__(self, document):
        self.document = document

    def resolve(self, schema):
        while "$ref" in schema:
            place = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                place = place[part]
            schema = place
        return schema

    def problems(self, value, schema, where="$"):
        """What of `value` does not fit, in words."""
        schema = self.resolve(schema)
        if "anyOf" in schema:
            tried = [self.problems(value, one, where) for one in schema["anyOf"]]
            return [] if any(not found for found in tried) else [f"{where}: fits none of anyOf: {tried}"]
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds and not any(is_type(value, kind) for kind in kinds):
            return [f"{where}: {value!r} is no {kinds}"]
        found = []
        if "enum" in schema and value not in schema["enum"]:
            found.append(f"{where}: {value!r} is not in {schema['enum']}")
        if isinstance(value, (int, float)) and not isinstance(value, bool) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            found.append(f"{where}: {value!r} is out of range")
        if isinstance(value, list) and "items" in schema:
            for i, item in enumerate(value):
                found += self.problems(item, schema["items"], f"{where}[{i}]")
        if isinstance(value, dict):
            known = schema.get("properties", {})
            found += [f"{where}.{name} is missing" for name in schema.get("required", []) if name not in value]
            for name, item in value.items():
                if name in known:
                    found += self.problems(item, known[name], f"{where}.{name}")
                elif schema.get("additionalProperties") is False:
                    found.append(f"{where}.{name} is not described")
                elif isinstance(schema.get("additionalProperties"), dict):
                    found += self.problems(item, schema["additionalProperties"], f"{where}.{name}")
        return found

    def answer_problems(self, method, path, status, value):
        """Of an answer to a request for `path` (without a query), or that it is not described at all."""
        for pattern, item in self.document["paths"].items():
            want, have = pattern.split("/"), path.split("/")
            if len(want) != len(have) or any(w != h and not w.startswith("{") for w, h in zip(want, have)):
                continue
            if any(w.startswith("{") and "/".join(have) in self.document["paths"] for w in want):
                continue
            operation = item.get(method.lower())
            if operation is None:
                return [f"{method} {pattern} is not described"]
            response = operation["responses"].get(str(status))
            if response is None:
                return [f"{method} {pattern}: the status {status} is not described"]
            return self.problems(value, response["content"]["application/json"]["schema"])
        return [f"{path} is not described"]

    def structure_problems(self):
        """What OpenAPI 3.1 demands and is not there."""
        document, found = self.document, []
        if not str(document.get("openapi", "")).startswith("3.1."):
            found.append("openapi is not 3.1")
        found += [f"info.{name} is missing" for name in ("title", "version") if not document.get("info", {}).get(name)]
        names = []
        for path, item in document["paths"].items():
            if not path.startswith("/"):
                found.append(f"{path} does not begin with /")
            for method, operation in item.items():
                where = f"{method} {path}"
                if method not in ("get", "post", "put", "patch", "delete"):
                    found.append(f"{where}: no method")
                names.append(operation.get("operationId"))
                parameters = operation.get("parameters", [])
                for parameter in parameters:
                    if not parameter.get("name") or parameter.get("in") not in ("path", "query", "header") or "schema" not in parameter:
                        found.append(f"{where}: parameter {parameter}")
                    if parameter.get("in") == "path" and parameter.get("required") is not True:
                        found.append(f"{where}: the path's {parameter['name']} has to be required")
                inside = {part[1:-1] for part in path.split("/") if part.startswith("{")}
                if inside != {p["name"] for p in parameters if p["in"] == "path"}:
                    found.append(f"{where}: the parameters of the path are {inside}")
                if not operation.get("responses"):
                    found.append(f"{where}: no responses")
                for status, response in operation.get("responses", {}).items():
                    if not response.get("description") or not status.isdigit():
                        found.append(f"{where}: response {status}")
        if len(set(names)) != len(names) or None in names:
            found.append("operationIds are not unique")
        found += self.reference_problems(document)
        return found

    def reference_problems(self, value):
        if isinstance(value, list):
            return [problem for item in value for problem in self.reference_problems(item)]
        if not isinstance(value, dict):
            return []
        found = [problem for item in value.values() for problem in self.reference_problems(item)]
        if "$ref" in value:
            try:
                self.resolve(value)
            except KeyError:
                found.append(f"{value['$ref']} leads nowhere")
        return found
