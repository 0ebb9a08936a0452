"""Every dialect of a client in front of every dialect of a provider: what arrives, what comes back, and what is named in
x-penstock-dropped. Each cell is tried at the real program; docs/dialects.md is written from what was seen.

    python3 tests/dialects_test.py              the cells, and that the document says the same
    python3 tests/dialects_test.py --write      writes the document
"""

import base64
import dataclasses
import functools
import http.client
import itertools
import json
import sys

import dialect_anthropic
import dialect_gemini
import dialect_ollama
import dialect_openai
import harness
from dialect import Call, Media, NoSuchThing, Question, Result, Tool, Turn
from harness import ROOT, Gateway, Mock, check, equal, until

CLIENTS = [dialect_openai.Chat(), dialect_openai.Responses(), dialect_openai.Completions(), dialect_anthropic.Messages(),
           dialect_gemini.Content(), dialect_ollama.Chat()]
PROVIDERS = ["openai", "anthropic", "gemini", "ollama"]
DOCUMENT = ROOT / "docs" / "dialects.md"

PNG = base64.b64encode(bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63606060f80f0001040100"
    "5fe5c34b0000000049454e44ae426082")).decode()
WAV = base64.b64encode(b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0@\x1f\0\0\x80>\0\0\x02\0\x10\0data\0\0\0\0").decode()
PDF = base64.b64encode(b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n").decode()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
TOOLS = [Tool("get_weather", SCHEMA), Tool("find_pump", SCHEMA)]


def ask(text="How is the pump?", **more):
    return Question([Turn("user", text)], **more)


def with_parameter(name, value):
    return ask(parameters={name: value})


def tool_loop(**more):
    """A question, a call, its result."""
    return Question([Turn("user", "What does the tool say?"),
                     Turn("assistant", calls=[Call("call_1", "get_weather", {"city": "Ulm"})]),
                     Turn("tool", results=[Result("call_1", "get_weather", "12 degrees", **more)])], tools=TOOLS[:1])


@dataclasses.dataclass
class Feature:
    title: str
    question: Question
    # What the provider must have heard, and what the client must have been told.
    arrived: object = lambda heard: True
    answered: object = lambda said: bool(said.text) and said.finish == "stop"
    # Why a dialect of providers has no such thing.
    pointless: dict = dataclasses.field(default_factory=dict)
    model: str = ""  # the mock's way to behave


def parameter(title, name, value, **more):
    return Feature(title, with_parameter(name, value), lambda heard: heard.parameters.get(name) == value, **more)


def has_media(kind, **wanted):
    return lambda heard: any(media.kind == kind and all(getattr(media, k) == v for k, v in wanted.items())
                             for media in heard.media)


def different(ids):
    return len(set(ids)) == len(ids)


def calls(*names):
    return lambda said: [call.name for call in said.calls] == list(names) and said.finish == "tool_calls" and all(
        isinstance(call.arguments.get("city"), str) for call in said.calls) and different([call.id for call in said.calls if call.id])


def is_reading(said):
    return set(json.loads(said.text)) == {"city"}


FEATURES = [
    Feature("a question", ask(), lambda heard: heard.texts == [("user", "How is the pump?")]),
    Feature("usage", ask(), answered=lambda said: said.input_tokens > 0 and said.output_tokens > 0),
    Feature("system", ask(system="Be brief."), lambda heard: heard.system == "Be brief."),
    Feature("several turns", Question([Turn("user", "One."), Turn("assistant", "Two."), Turn("user", "Three.")]),
            lambda heard: heard.texts == [("user", "One."), ("assistant", "Two."), ("user", "Three.")]),
    Feature("image in base64", Question([Turn("user", "What is it?", media=[Media("image", "image/png", PNG)])]),
            has_media("image", data=PNG), lambda said: "[image image/png 70 bytes]" in said.text),
    Feature("image by URL", Question([Turn("user", "What is it?", media=[Media("image", url="http://pictures.example/a.png")])]),
            has_media("image", url="http://pictures.example/a.png")),
    Feature("audio", Question([Turn("user", "What is it?", media=[Media("audio", "audio/wav", WAV)])]),
            has_media("audio", data=WAV)),
    Feature("document in base64", Question([Turn("user", "What is it?", media=[Media("document", "application/pdf", PDF, name="plan.pdf")])]),
            has_media("document", data=PDF)),
    Feature("document by URL", Question([Turn("user", "What is it?", media=[
        Media("document", "application/pdf", url="http://papers.example/a.pdf")])]), has_media("document", url="http://papers.example/a.pdf")),
    Feature("tool call", ask("Call get_weather.", tools=TOOLS),
            lambda heard: [tool.name for tool in heard.tools] == ["get_weather", "find_pump"], calls("get_weather")),
    Feature("parallel tool calls", ask("Call get_weather and find_pump.", tools=TOOLS), answered=calls("get_weather", "find_pump")),
    Feature("tool result", tool_loop(), lambda heard: [c.arguments for c in heard.calls] == [{"city": "Ulm"}]
            and len(heard.results) == 1 and "12 degrees" in heard.results[0].text, lambda said: "12 degrees" in said.text),
    Feature("tool result with an image", tool_loop(image=PNG), lambda heard: heard.results[0].image == PNG
            or has_media("image", data=PNG)(heard), lambda said: said.text or said.calls),
    Feature("tool result that is an error", tool_loop(error=True), lambda heard: heard.results[0].error),
    Feature("tool choice: none", ask("Call get_weather.", tools=TOOLS, choice="none"), lambda heard: heard.choice == "none"),
    Feature("tool choice: required", ask("Hello.", tools=TOOLS, choice="required"), lambda heard: heard.choice == "required",
            lambda said: len(said.calls) == 1),
    Feature("tool choice: one tool", ask("Hello.", tools=TOOLS, choice="find_pump"), lambda heard: heard.choice == "find_pump",
            calls("find_pump")),
    Feature("one call at a time", ask("Call get_weather and find_pump.", tools=TOOLS, parameters={"parallel": False}),
            lambda heard: heard.parameters.get("parallel") is False, calls("get_weather")),
    Feature("JSON", ask(format="json"), lambda heard: heard.format == "json", lambda said: isinstance(json.loads(said.text), dict)),
    Feature("JSON with a schema", ask(format=SCHEMA), lambda heard: isinstance(heard.format, dict) and "city" in heard.format["properties"],
            is_reading),
    Feature("reasoning effort", with_parameter("effort", "low"), lambda heard: bool(heard.parameters.get("effort")),
            lambda said: bool(said.text)),
    Feature("thoughts in the answer", with_parameter("effort", "low"), answered=lambda said: bool(said.thoughts) and bool(said.text), model="-think"),
    parameter("token limit", "max_tokens", 5, answered=lambda said: said.finish == "length" and said.output_tokens == 5),
    Feature("stop sequences", with_parameter("stop", [" the "]), lambda heard: heard.parameters.get("stop") == [" the "]),
    parameter("temperature", "temperature", 0.5),
    parameter("temperature above 1", "temperature", 1.5),
    parameter("top_p", "top_p", 0.5),
    parameter("top_k", "top_k", 5),
    parameter("seed", "seed", 5),
    parameter("frequency penalty", "frequency_penalty", 0.5),
    parameter("presence penalty", "presence_penalty", 0.5),
    parameter("several answers", "n", 2, answered=lambda said: said.choices == 2),
    parameter("logprobs", "logprobs", True),
    parameter("logit bias", "logit_bias", {"50256": -100}),
    parameter("end user", "user", "user-17"),
    parameter("metadata", "metadata", {"line": "4"}),
    parameter("service tier", "service_tier", "flex"),
    parameter("verbosity", "verbosity", "low"),
    Feature("cache breakpoints", Question([Turn("user", "A long text.", cache=True)]), lambda heard: heard.cached == 1),
    Feature("refusal", ask(), answered=lambda said: bool(said.text) or said.finish == "content_filter", model="-refusal",
            pointless={"ollama_chat to gemini": "a blocked prompt has no words, and Ollama none for it"}),
    Feature("content filter", ask(), answered=lambda said: said.finish == "content_filter", model="-filtered",
            pointless={"ollama_chat": "it has no word for it", "ollama": "it has no word for it"}),
]


def reader_of(path):
    """The dialect of a path of the mock's."""
    if path.startswith("/v1beta"):
        return dialect_gemini.Content()
    if path.startswith("/api"):
        return dialect_ollama.Chat()
    return {"/v1/messages": dialect_anthropic.Messages(), "/v1/responses": dialect_openai.Responses(),
            "/v1/completions": dialect_openai.Completions()}.get(path) or dialect_openai.Chat()


BEHAVIOURS = ["", "-think", "-refusal", "-filtered", "-429", "-400", "-error-in-stream", "-cut", "-stall", "-bad-json"]


def configuration(mock):
    """One provider of each dialect, and a model for each way of the mock to behave."""
    text = "providers:\n"
    for provider in PROVIDERS:
        base = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "ollama": ""}[provider]
        key = "" if provider == "ollama" else ", api_key: key-of-the-lab"
        text += f"  {provider}: {{ type: {provider}, base_url: \"http://127.0.0.1:{mock.port}{base}\"{key} }}\n"
    text += "models:\n"
    for provider, behaviour in itertools.product(PROVIDERS, BEHAVIOURS):
        text += f"  {provider}{behaviour}: {{ route: [ {provider}/mock{behaviour} ] }}\n"
    return text


class Lab:
    """The gateway in front of the mock."""

    def __enter__(self):
        self.mock = Mock()
        self.gateway = Gateway(configuration(self.mock))
        return self

    def __exit__(self, *_):
        self.gateway.stop()
        self.mock.stop()

    def call(self, client, model, question, stream):
        return self.gateway.post(client.path(model, stream), client.body(question, model, stream))

    def heard(self):
        last = self.mock.last()
        return reader_of(last["path"]).heard(json.loads(last["body"]))


# What a cell shows of a feature that a dialect has no field for.
NONE = "–"


def cell(lab, client, provider, feature):
    """What became of it: "yes", "dropped: names", "refused: why", NONE; a failure when it was lost in silence."""
    if {client.name, provider, f"{client.name} to {provider}"} & set(feature.pointless):
        return NONE
    seen = []
    for stream in (False, True):
        try:
            response = lab.call(client, provider + feature.model, feature.question, stream)
        except NoSuchThing:
            return NONE
        seen.append(judge(lab, client, feature, response, stream))
    equal(len(set(seen)), 1, "plain and streamed differ:", seen)
    return seen[0]


def judge(lab, client, feature, response, stream):
    if response.status == 400:
        return "refused: " + client.error(response.json())
    equal(response.status, 200, response)
    dropped = response.headers.get("x-penstock-dropped", "")
    said = client.said_stream(response.body) if stream else client.said(response.json())
    check(said.ended and not said.error, "no proper end:", response)
    if feature.arrived(lab.heard()) and feature.answered(said):
        return f"yes, but not {dropped}" if dropped else "yes"
    check(dropped, "lost in silence" + (" (stream)" if stream else "") + ":", lab.heard(), said)
    return f"dropped: {dropped}"


def thoughts_given_back(lab, client, provider):
    """A call with thoughts before it, and its result: the provider hears its own thoughts again."""
    try:
        question = ask("Call get_weather.", tools=TOOLS, parameters={"effort": "low"})
        said = client.said(lab.call(client, f"{provider}-think", question, False).json())
    except NoSuchThing:
        return NONE
    check(said.thoughts and said.calls, "no thoughts, or no call:", said)
    question.turns += [Turn("assistant", echo=said.echo),
                       Turn("tool", results=[Result(said.calls[0].id, "get_weather", "12 degrees")])]
    response = lab.call(client, f"{provider}-think", question, False)
    if response.status == 400 and "thought_signature" in client.error(response.json()):
        return "refused by the provider: the seal of the call did not come back"
    equal(response.status, 200, response)
    heard, dropped = lab.heard(), response.headers.get("x-penstock-dropped", "")
    equal([call.name for call in heard.calls], ["get_weather"])
    if heard.signatures if provider in ("anthropic", "gemini") else heard.thoughts:
        return "yes"
    check(dropped, "lost in silence:", heard, "echo:", said.echo)
    return f"dropped: {dropped}"


def refusal_of_the_provider(lab, client, provider):
    for status in (400, 429):
        for stream in (False, True):
            response = lab.call(client, f"{provider}-{status}", ask(), stream)
            equal(response.status, status, response)
            check(client.error(response.json()), "says nothing:", response)
    return "yes"


def streamed(lab, client, model):
    """The bytes of a stream, whole or cut."""
    try:
        return lab.call(client, model, ask(), True).body
    except http.client.IncompleteRead as cut:
        return cut.partial


def error_within_the_stream(lab, client, provider):
    said = client.said_stream(streamed(lab, client, f"{provider}-error-in-stream"))
    check(said.error and not said.ended, "not told:", said)
    return "yes"


def cut_stream(lab, client, provider):
    said = client.said_stream(streamed(lab, client, f"{provider}-cut"))
    check(not said.ended, "a cut stream looks whole:", said)
    return "yes"


def no_answer_at_all(lab, client, provider):
    response = lab.call(client, f"{provider}-bad-json", ask(), False)
    equal(response.status, 502, response)
    check(client.error(response.json()), "says nothing:", response)
    return "yes"


def client_that_leaves(lab, client, provider):
    """Ends the call upstream."""
    before = lab.mock.stats()["cancelled"]
    model = f"{provider}-stall"
    with harness.Stream(lab.gateway.port, client.path(model, True), client.body(ask(), model, True)) as stream:
        equal(stream.status, 200)
        next(stream.pieces())
    until(lambda: lab.mock.stats()["cancelled"] > before, "the provider to be left alone")
    return "yes"


def embeddings(lab, client, provider):
    """Two texts, and as many dimensions as were asked for."""
    if not isinstance(client, (dialect_openai.Chat, dialect_gemini.Content, dialect_ollama.Chat)):
        return NONE
    texts, model = ["a pump", "a valve"], provider
    path, body, vectors = {
        "openai_chat": ("/v1/embeddings", {"model": model, "input": texts, "dimensions": 8},
                        lambda answer: [each["embedding"] for each in answer["data"]]),
        "gemini_content": (f"/v1beta/models/{model}:batchEmbedContents",
                           {"requests": [{"model": f"models/{model}", "content": {"parts": [{"text": text}]},
                                          "outputDimensionality": 8} for text in texts]},
                           lambda answer: [each["values"] for each in answer["embeddings"]]),
        "ollama_chat": ("/api/embed", {"model": model, "input": texts, "dimensions": 8}, lambda answer: answer["embeddings"]),
    }[client.name]
    response = lab.gateway.post(path, body)
    if provider == "anthropic":
        check(response.status in (400, 501) and client.error(response.json()), response)
        return "refused"
    equal(response.status, 200, response)
    equal([len(vector) for vector in vectors(response.json())], [8, 8])
    return "yes"


def number_of_tokens(lab, client, provider):
    """Asked of the provider, or estimated where it cannot tell."""
    body = client.body(ask(), provider, False)
    path, key = {"anthropic_messages": ("/v1/messages/count_tokens", "input_tokens"),
                 "gemini_content": (f"/v1beta/models/{provider}:countTokens", "totalTokens")}.get(client.name, ("", ""))
    if not path:
        return NONE
    body.pop("max_tokens", None)
    before = lab.mock.stats()["requests"]
    response = lab.gateway.post(path, body)
    equal(response.status, 200, response)
    check(response.json()[key] > 0, response)
    return "yes" if lab.mock.stats()["requests"] > before else "estimated"


EVENTS = {
    "embeddings": embeddings,
    "number of tokens": number_of_tokens,
    "thoughts given back with a tool result": thoughts_given_back,
    "errors of the provider (400, 429)": refusal_of_the_provider,
    "an error within the stream": error_within_the_stream,
    "a cut stream is an error": cut_stream,
    "an answer that is none (502)": no_answer_at_all,
    "a client that leaves ends the call": client_that_leaves,
}


def survey():
    """Every cell by (row, client, provider), and what was found wrong."""
    rows = {feature.title: functools.partial(cell, feature=feature) for feature in FEATURES} | EVENTS
    found, mistakes = {}, []
    with Lab() as lab:
        for (title, row), client, provider in itertools.product(rows.items(), CLIENTS, PROVIDERS):
            try:
                found[title, client.name, provider] = row(lab, client, provider)
            except Exception as error:  # a cell may fail in any way; the others are tried all the same
                mistakes.append(f"{title}: {client.name} to {provider}: {type(error).__name__} {str(error)[:700]}")
                found[title, client.name, provider] = "FAILS"
    return found, mistakes


def written(found):
    """The document."""
    rows = list(dict.fromkeys(title for title, _, _ in found))
    lines = [HEAD]
    for client in CLIENTS:
        lines += [f"## {client.title}", "", "| | " + " | ".join(PROVIDERS) + " |", "|---|" + "---|" * len(PROVIDERS)]
        unsaid = []
        for row in rows:
            cells = [found[row, client.name, provider] for provider in PROVIDERS]
            if set(cells) == {NONE}:
                unsaid.append(row)
            else:
                lines.append(f"| {row} | " + " | ".join(cells) + " |")
        lines += ["", f"Its API has no way to say: {', '.join(unsaid)}.", ""] if unsaid else [""]
    return "\n".join(lines)


HEAD = """# Dialects

What becomes of each feature between the client's dialect and the provider's. Written by
`tests/dialects_test.py --write`, which tries every cell at the program, plain and streamed, in front of a mock provider
of each dialect: what arrived there, what came back, and what `x-penstock-dropped` named. The test fails when this page
says something else.

- **yes**: it arrives, and the answer shows it. "yes, but not x": it does, and `x-penstock-dropped` names x all the same.
- **dropped**: it does not; the header names it. A route with `strict: true` refuses the call instead.
- **refused**: the call makes no sense without it; the error says so.
- **–**: one of the dialects has no such thing.

What an answer holds and the client's dialect has no place for (images in a message of Anthropic's, citations in one of
Ollama's) is left out; of a whole answer `x-penstock-dropped` names it (`answer.image`, `answer.citations`). The head of a
stream is gone by then: nothing names it there.
"""


def test_nothing_is_lost_between_dialects_and_the_document_says_so():
    found, mistakes = survey()
    check(not mistakes, "\n  " + "\n  ".join(mistakes))
    text = written(found)
    if WRITE:
        DOCUMENT.write_text(text)
    equal(DOCUMENT.read_text() if DOCUMENT.exists() else "", text, f"{DOCUMENT}: write it anew with --write:")


WRITE = "--write" in sys.argv

if __name__ == "__main__":
    sys.argv = [argument for argument in sys.argv if argument != "--write"]
    harness.run(globals())
