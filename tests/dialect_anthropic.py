"""Anthropic's messages."""

import json

from dialect import Call, Dialect, Heard, Media, Result, Said, Tool, sse, text_of
from harness import check, equal

FINISHES = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls",
            "refusal": "content_filter"}
CHOICES = {"auto": "auto", "none": "none", "required": "any"}
BREAKPOINT = {"cache_control": {"type": "ephemeral"}}


def source(media):
    if media.url:
        return {"type": "url", "url": media.url}
    return {"type": "base64", "media_type": media.type, "data": media.data}


class Messages(Dialect):
    name = "anthropic_messages"
    title = "Anthropic's messages"
    PARAMETERS = {"max_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p", "top_k": "top_k",
                  "stop": "stop_sequences", "user": "metadata.user_id", "service_tier": "service_tier",
                  "effort": "thinking.budget_tokens", "parallel": "tool_choice.disable_parallel_tool_use"}
    TOKENS = {"low": 2048, "medium": 8192, "high": 16384}
    TIERS = {"auto": "auto", "default": "standard_only"}

    def path(self, model, stream):
        return "/v1/messages"

    def to_wire(self, name, value):
        if name == "parallel":
            return not value
        if name == "service_tier" and value not in self.TIERS:
            self.lacks("other tiers")
        words = {"effort": self.TOKENS, "service_tier": self.TIERS}.get(name)
        return words[value] if words else value

    def from_wire(self, name, value):
        if name == "parallel":
            return not value
        if name == "service_tier":
            return next(word for word, tier in self.TIERS.items() if tier == value)
        return next((word for word, tokens in self.TOKENS.items() if tokens >= value), "high") if name == "effort" else value

    def blocks(self, turn):
        if turn.echo is not None:
            return turn.echo
        blocks = [{"type": "text", "text": turn.text}] if turn.text else []
        for media in turn.media:
            if media.kind == "audio":
                self.lacks("audio")
            blocks.append({"type": media.kind, "source": source(media)})
        blocks += [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in turn.calls]
        for result in turn.results:
            content = [{"type": "text", "text": result.text}]
            if result.image:
                content.append({"type": "image", "source": source(Media("image", "image/png", result.image))})
            blocks.append({"type": "tool_result", "tool_use_id": result.id, "content": content}
                          | ({"is_error": True} if result.error else {}))
        if turn.cache:
            blocks[-1] |= BREAKPOINT
        return blocks

    def body(self, question, model, stream):
        body = {"model": model, "max_tokens": 20000, "messages": []}
        if question.system:
            body["system"] = question.system
        for turn in question.turns:
            body["messages"].append({"role": "assistant" if turn.role == "assistant" else "user", "content": self.blocks(turn)})
        if question.tools:
            body["tools"] = [{"name": tool.name, "input_schema": tool.schema} for tool in question.tools]
        if question.choice:
            named = question.choice not in CHOICES
            body["tool_choice"] = {"type": "tool", "name": question.choice} if named else {"type": CHOICES[question.choice]}
        if question.format == "json":
            self.lacks("JSON without a schema")
        elif question.format:
            body["output_config"] = {"format": {"type": "json_schema", "schema": question.format}}
        if "parallel" in question.parameters:
            body.setdefault("tool_choice", {"type": "auto"})
        self.put_parameters(body, question)
        if "thinking" in body:
            body["thinking"]["type"] = "enabled"
        if stream:
            body["stream"] = True
        return body

    def hear_block(self, heard, role, block):
        heard.cached += "cache_control" in block
        kind = block["type"]
        if kind == "text":
            heard.texts.append((role, block["text"]))
        elif kind in ("image", "document"):
            given = block["source"]
            heard.media.append(Media(kind, given.get("media_type", ""), given.get("data", ""), given.get("url", "")))
        elif kind == "tool_use":
            heard.calls.append(Call(block["id"], block["name"], block["input"]))
        elif kind == "tool_result":
            content = block.get("content") or ""
            images = [p["source"].get("data", "") for p in content if isinstance(p, dict) and p["type"] == "image"]
            heard.results.append(Result(block["tool_use_id"], "", text_of(content), "".join(images), block.get("is_error", False)))
        elif kind == "thinking":
            heard.thoughts.append(block["thinking"])
            heard.signatures.append(block["signature"])
        elif kind == "redacted_thinking":
            heard.signatures.append(block["data"])

    def heard(self, body):
        heard = Heard(parameters=self.parameters_of(body), system=text_of(body.get("system", "")))
        roles = [message["role"] for message in body["messages"]]
        check(roles[0] == "user" and all(a != b for a, b in zip(roles, roles[1:])), "turns must alternate:", roles)
        for message in body["messages"]:
            content = message["content"]
            for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                self.hear_block(heard, message["role"], block)
        heard.tools = [Tool(tool["name"], tool["input_schema"]) for tool in body.get("tools", [])]
        choice = body.get("tool_choice", {})
        words = {wire: word for word, wire in CHOICES.items()}
        heard.choice = choice.get("name") or words.get(choice.get("type"), "")
        heard.format = body.get("output_config", {}).get("format", {}).get("schema")
        if heard.choice == "answer_in_json":  # a tool that stands for the answer: JSON of any shape
            heard.format = "json"
        return heard

    def said(self, body):
        said = Said(echo=body["content"], finish=FINISHES[body["stop_reason"]])
        for block in body["content"]:
            if block["type"] == "text":
                said.text += block["text"]
            elif block["type"] == "thinking":
                said.thoughts += block["thinking"]
            elif block["type"] == "tool_use":
                said.calls.append(Call(block["id"], block["name"], block["input"]))
        said.input_tokens, said.output_tokens = body["usage"]["input_tokens"], body["usage"]["output_tokens"]
        return said

    def said_stream(self, data):
        message, ended, error, open_at = None, False, "", None
        for name, event in sse(data):
            equal(event["type"], name, "the name of an event is its type:")
            if name == "message_start":
                check(message is None, "a second message_start")
                message = event["message"]
            elif name == "content_block_start":
                check(open_at is None, "blocks may not overlap")
                open_at = event["index"]
                equal(open_at, len(message["content"]), "blocks are numbered without gaps:")
                message["content"].append(event["content_block"] | {"input_text": ""})
            elif name == "content_block_delta":
                equal(event["index"], open_at, "a delta of a block that is not open:")
                add_delta(message["content"][-1], event["delta"])
            elif name == "content_block_stop":
                equal(event["index"], open_at, "the end of a block that is not open:")
                open_at = None
            elif name == "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
            elif name == "message_stop":
                ended = True
            elif name == "error":
                error = self.error(event)
        if not ended:
            return Said(ended=False, error=error)
        for block in message["content"]:
            given = block.pop("input_text")
            if block["type"] == "tool_use":
                block["input"] = json.loads(given or "{}")
        return self.said(message)

    def error(self, body):
        equal(body["type"], "error", "of an error of Anthropic's:")
        check(body["error"]["type"].endswith("_error"), body)
        return body["error"]["message"]


def add_delta(block, delta):
    if delta["type"] == "text_delta":
        block["text"] += delta["text"]
    elif delta["type"] == "thinking_delta":
        block["thinking"] += delta["thinking"]
    elif delta["type"] == "signature_delta":
        block["signature"] = delta["signature"]
    elif delta["type"] == "input_json_delta":
        block["input_text"] += delta["partial_json"]
