"""A wire dialect as a test speaks and hears it: writes a question as its clients do, reads its answers, and reads what a
provider of it was asked. What is asked for is a Question in no dialect; what comes back is Said or Heard."""

import dataclasses
import json


class NoSuchThing(Exception):
    """The dialect has no way to say this; the reason is for people."""


@dataclasses.dataclass
class Call:
    id: str
    name: str
    arguments: dict


@dataclasses.dataclass
class Result:
    id: str
    name: str
    text: str
    image: str = ""
    error: bool = False


@dataclasses.dataclass
class Media:
    kind: str  # image, audio, document
    type: str = ""
    data: str = ""
    url: str = ""
    name: str = ""


@dataclasses.dataclass
class Turn:
    role: str  # user, assistant, tool
    text: str = ""
    media: list = dataclasses.field(default_factory=list)
    calls: list = dataclasses.field(default_factory=list)
    results: list = dataclasses.field(default_factory=list)
    cache: bool = False
    echo: object = None  # an answer of this dialect, given back as it came


@dataclasses.dataclass
class Tool:
    name: str
    schema: dict


@dataclasses.dataclass
class Question:
    turns: list
    system: str = ""
    tools: list = dataclasses.field(default_factory=list)
    choice: str = ""  # auto, none, required, or the name of a tool
    format: object = None  # "json", or a schema
    parameters: dict = dataclasses.field(default_factory=dict)  # by the names of Dialect.PARAMETERS


@dataclasses.dataclass
class Heard:
    """What a provider was asked."""
    system: str = ""
    texts: list = dataclasses.field(default_factory=list)  # (role, text), system left out
    media: list = dataclasses.field(default_factory=list)
    calls: list = dataclasses.field(default_factory=list)
    results: list = dataclasses.field(default_factory=list)
    thoughts: list = dataclasses.field(default_factory=list)
    signatures: list = dataclasses.field(default_factory=list)
    tools: list = dataclasses.field(default_factory=list)
    choice: str = ""
    format: object = None
    cached: int = 0  # breakpoints
    parameters: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Said:
    """What a client was answered."""
    text: str = ""
    thoughts: str = ""
    calls: list = dataclasses.field(default_factory=list)
    finish: str = ""  # stop, length, tool_calls, content_filter
    input_tokens: int = 0
    output_tokens: int = 0
    choices: int = 1
    logprobs: bool = False
    ended: bool = True  # the stream had its proper end
    error: str = ""     # the message of an error within the stream
    echo: object = None  # to be given back in a later Turn


class Dialect:
    name = ""
    title = ""
    # Parameters by where they stand in a body: "options.top_k".
    PARAMETERS = {}

    def path(self, model, stream):
        raise NotImplementedError

    def body(self, question, model, stream):
        raise NotImplementedError

    def heard(self, body):
        raise NotImplementedError

    def said(self, body):
        raise NotImplementedError

    def said_stream(self, data):
        raise NotImplementedError

    def error(self, body):
        """The message of an error body; fails when it has another shape."""
        raise NotImplementedError

    def lacks(self, what):
        raise NoSuchThing(f"no {what}")

    def put_parameters(self, body, question):
        for name, value in question.parameters.items():
            if name not in self.PARAMETERS:
                self.lacks(name)
            place(body, self.PARAMETERS[name], self.to_wire(name, value))

    def to_wire(self, name, value):
        return value

    def from_wire(self, name, value):
        return value

    def parameters_of(self, body):
        found = {}
        for name, path in self.PARAMETERS.items():
            value = look(body, path)
            if value is not None:
                found[name] = self.from_wire(name, value)
        return found


def place(body, path, value):
    *folders, leaf = path.split(".")
    for folder in folders:
        body = body.setdefault(folder, {})
    body[leaf] = value


def look(body, path):
    for key in path.split("."):
        if not isinstance(body, dict):
            return None
        body = body.get(key)
    return body


def as_json(text):
    """The value of a JSON text, the text itself when it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def data_url(media):
    return f"data:{media.type};base64,{media.data}"


def media_of_url(kind, url):
    if url.startswith("data:"):
        head, data = url[5:].split(";base64,", 1)
        return Media(kind, type=head, data=data)
    return Media(kind, url=url)


def sse(data):
    """(event, parsed data) of each event; the data of an end mark stays text."""
    for block in data.decode().replace("\r\n", "\n").split("\n\n"):
        name, lines = "", []
        for line in block.split("\n"):
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                lines.append(line[5:].lstrip(" "))
        if lines:
            yield name, as_json("\n".join(lines))


def text_of(content):
    """Of a string, or of a list of parts with texts."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or [])
