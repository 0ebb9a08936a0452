"""OpenAI's dialects: chat completions, completions, responses."""

import json

from dialect import Call, Dialect, Heard, Media, NoSuchThing, Result, Said, Tool, as_json, data_url, media_of_url, sse, text_of
from harness import check


class OpenAi(Dialect):
    def error(self, body):
        error = body["error"]
        check({"message", "type", "param", "code"} <= set(error), "an error of OpenAI's has four keys:", error)
        return error["message"]


def read_calls(calls):
    return [Call(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls or []]


class Chat(OpenAi):
    name = "openai_chat"
    title = "OpenAI's chat completions"
    PARAMETERS = {
        "max_tokens": "max_completion_tokens", "temperature": "temperature", "top_p": "top_p", "seed": "seed", "n": "n",
        "stop": "stop", "logprobs": "logprobs", "presence_penalty": "presence_penalty",
        "frequency_penalty": "frequency_penalty", "logit_bias": "logit_bias", "user": "user", "metadata": "metadata",
        "service_tier": "service_tier", "verbosity": "verbosity", "effort": "reasoning_effort",
        "parallel": "parallel_tool_calls"}

    def path(self, model, stream):
        return "/v1/chat/completions"

    def part(self, media):
        if media.kind == "image":
            return {"type": "image_url", "image_url": {"url": media.url or data_url(media)}}
        if media.url:
            self.lacks(f"{media.kind}_url")
        if media.kind == "audio":
            return {"type": "input_audio", "input_audio": {"data": media.data, "format": "wav"}}
        return {"type": "file", "file": {"filename": media.name, "file_data": data_url(media)}}

    def messages(self, turn):
        if turn.echo is not None:
            return [turn.echo]
        if turn.role == "tool":
            for result in turn.results:
                if result.image or result.error:
                    self.lacks("result_image" if result.image else "result_error")
            return [{"role": "tool", "tool_call_id": r.id, "content": r.text} for r in turn.results]
        content = turn.text or None
        if turn.media:
            content = [{"type": "text", "text": turn.text}] + [self.part(media) for media in turn.media]
        if turn.cache:
            self.lacks("cache")
        message = {"role": turn.role, "content": content}
        if turn.calls:
            message["tool_calls"] = [{"id": call.id, "type": "function", "function":
                                      {"name": call.name, "arguments": json.dumps(call.arguments)}} for call in turn.calls]
        return [message]

    def body(self, question, model, stream):
        body = {"model": model, "messages": [{"role": "system", "content": question.system}] if question.system else []}
        for turn in question.turns:
            body["messages"] += self.messages(turn)
        if question.tools:
            body["tools"] = [{"type": "function", "function": {"name": tool.name, "parameters": tool.schema}}
                             for tool in question.tools]
        if question.choice:
            plain = question.choice in ("auto", "none", "required")
            body["tool_choice"] = question.choice if plain else {"type": "function", "function": {"name": question.choice}}
        if question.format == "json":
            body["response_format"] = {"type": "json_object"}
        elif question.format:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "reading", "schema": question.format}}
        self.put_parameters(body, question)
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def hear_part(self, heard, part):
        if part["type"] == "image_url":
            heard.media.append(media_of_url("image", part["image_url"]["url"]))
        elif part["type"] == "input_audio":
            heard.media.append(Media("audio", type="audio/" + part["input_audio"]["format"], data=part["input_audio"]["data"]))
        elif part["type"] == "file":
            heard.media.append(media_of_url("document", part["file"]["file_data"]))

    def heard(self, body):
        heard = Heard(parameters=self.parameters_of(body))
        if "max_tokens" in body:
            heard.parameters["max_tokens"] = body["max_tokens"]
        for message in body["messages"]:
            content = message.get("content")
            if message["role"] in ("system", "developer"):
                heard.system += text_of(content)
                continue
            if message["role"] == "tool":
                heard.results.append(Result(message["tool_call_id"], "", text_of(content)))
                continue
            heard.texts.append((message["role"], text_of(content)))
            heard.calls += read_calls(message.get("tool_calls"))
            if message.get("reasoning_content"):
                heard.thoughts.append(message["reasoning_content"])
            for part in content if isinstance(content, list) else []:
                self.hear_part(heard, part)
        heard.tools = [Tool(tool["function"]["name"], tool["function"].get("parameters")) for tool in body.get("tools", [])]
        choice = body.get("tool_choice", "")
        heard.choice = choice if isinstance(choice, str) else choice["function"]["name"]
        wanted = body.get("response_format", {})
        heard.format = {"json_object": "json", "json_schema": wanted.get("json_schema", {}).get("schema")}.get(wanted.get("type"))
        return heard

    def said(self, body):
        choice, usage = body["choices"][0], body["usage"]
        message = choice["message"]
        return Said(text=message["content"] or message.get("refusal") or "", thoughts=message.get("reasoning_content") or "",
                    calls=read_calls(message.get("tool_calls")), finish=choice["finish_reason"],
                    input_tokens=usage["prompt_tokens"], output_tokens=usage["completion_tokens"],
                    choices=len(body["choices"]), logprobs=bool(choice.get("logprobs")), echo=message)

    def said_stream(self, data):
        said, calls, seen = Said(ended=False), {}, set()
        for _, event in sse(data):
            if event == "[DONE]":
                said.ended = True
                continue
            if "error" in event:
                said.error = self.error(event)
                continue
            if event.get("usage"):
                said.input_tokens, said.output_tokens = event["usage"]["prompt_tokens"], event["usage"]["completion_tokens"]
            for choice in event["choices"]:
                seen.add(choice["index"])
                if choice["index"] != 0:
                    continue
                delta = choice["delta"]
                said.text += delta.get("content") or delta.get("refusal") or ""
                said.thoughts += delta.get("reasoning_content") or ""
                said.logprobs = said.logprobs or bool(choice.get("logprobs"))
                said.finish = choice["finish_reason"] or said.finish
                for piece in delta.get("tool_calls") or []:
                    call = calls.setdefault(piece["index"], ["", "", ""])
                    call[0] += piece.get("id") or ""
                    call[1] += piece["function"].get("name") or ""
                    call[2] += piece["function"].get("arguments") or ""
        said.calls = [Call(id, name, json.loads(arguments)) for id, name, arguments in calls.values()]
        said.choices = len(seen)
        return said


class Completions(OpenAi):
    name = "openai_completions"
    title = "OpenAI's completions"
    PARAMETERS = {name: path for name, path in Chat.PARAMETERS.items()
                  if name not in ("effort", "parallel", "metadata", "service_tier", "verbosity")} | {"max_tokens": "max_tokens"}

    def path(self, model, stream):
        return "/v1/completions"

    def to_wire(self, name, value):
        return 1 if name == "logprobs" else value

    def from_wire(self, name, value):
        return True if name == "logprobs" else value

    def body(self, question, model, stream):
        for what in ("system", "tools", "choice", "format"):
            if getattr(question, what):
                raise NoSuchThing("a prompt is only text")
        turn = question.turns[0]
        if len(question.turns) > 1 or turn.media or turn.cache:
            raise NoSuchThing("a prompt is only text")
        body = {"model": model, "prompt": turn.text}
        self.put_parameters(body, question)
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def heard(self, body):
        return Heard(texts=[("user", body["prompt"])], parameters=self.parameters_of(body))

    def said(self, body):
        choice, usage = body["choices"][0], body["usage"]
        return Said(text=choice["text"], finish=choice["finish_reason"], input_tokens=usage["prompt_tokens"],
                    output_tokens=usage["completion_tokens"], choices=len(body["choices"]),
                    logprobs=bool(choice.get("logprobs")))

    def said_stream(self, data):
        said, seen = Said(ended=False), set()
        for _, event in sse(data):
            if event == "[DONE]":
                said.ended = True
                continue
            if "error" in event:
                said.error = self.error(event)
                continue
            if event.get("usage"):
                said.input_tokens, said.output_tokens = event["usage"]["prompt_tokens"], event["usage"]["completion_tokens"]
            for choice in event["choices"]:
                seen.add(choice["index"])
                if choice["index"] == 0:
                    said.text += choice["text"]
                    said.finish = choice["finish_reason"] or said.finish
                    said.logprobs = said.logprobs or bool(choice.get("logprobs"))
        said.choices = len(seen)
        return said


class Responses(OpenAi):
    name = "openai_responses"
    title = "OpenAI's responses"
    PARAMETERS = {
        "max_tokens": "max_output_tokens", "temperature": "temperature", "top_p": "top_p", "user": "user",
        "metadata": "metadata", "service_tier": "service_tier", "verbosity": "text.verbosity",
        "effort": "reasoning.effort", "parallel": "parallel_tool_calls", "logprobs": "top_logprobs"}

    def path(self, model, stream):
        return "/v1/responses"

    def to_wire(self, name, value):
        return 2 if name == "logprobs" else value

    def from_wire(self, name, value):
        return True if name == "logprobs" else value

    def part(self, media):
        if media.kind == "image":
            return {"type": "input_image", "image_url": media.url or data_url(media)}
        if media.kind == "audio":
            self.lacks("audio")
        if media.url:
            return {"type": "input_file", "file_url": media.url}
        return {"type": "input_file", "filename": media.name, "file_data": data_url(media)}

    def items(self, turn):
        if turn.echo is not None:
            return turn.echo
        if turn.cache:
            self.lacks("cache")
        if turn.role == "tool":
            return [self.output(result) for result in turn.results]
        items = []
        if turn.text or turn.media:
            kind = "output_text" if turn.role == "assistant" else "input_text"
            items.append({"type": "message", "role": turn.role,
                          "content": [{"type": kind, "text": turn.text}] + [self.part(media) for media in turn.media]})
        return items + [{"type": "function_call", "call_id": call.id, "name": call.name,
                         "arguments": json.dumps(call.arguments)} for call in turn.calls]

    def output(self, result):
        if result.error:
            self.lacks("result_error")
        output = result.text
        if result.image:
            output = [{"type": "input_text", "text": result.text},
                      {"type": "input_image", "image_url": "data:image/png;base64," + result.image}]
        return {"type": "function_call_output", "call_id": result.id, "output": output}

    def body(self, question, model, stream):
        body = {"model": model, "input": [item for turn in question.turns for item in self.items(turn)]}
        if question.system:
            body["instructions"] = question.system
        if question.tools:
            body["tools"] = [{"type": "function", "name": tool.name, "parameters": tool.schema, "strict": False}
                             for tool in question.tools]
        if question.choice:
            plain = question.choice in ("auto", "none", "required")
            body["tool_choice"] = question.choice if plain else {"type": "function", "name": question.choice}
        if question.format == "json":
            body["text"] = {"format": {"type": "json_object"}}
        elif question.format:
            body["text"] = {"format": {"type": "json_schema", "name": "reading", "schema": question.format}}
        self.put_parameters(body, question)
        if "logprobs" in question.parameters:
            body["include"] = ["message.output_text.logprobs"]
        if stream:
            body["stream"] = True
        return body

    def heard(self, body):
        heard = Heard(system=body.get("instructions") or "", parameters=self.parameters_of(body))
        given = body["input"]
        for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
            kind = item.get("type", "message")
            if kind == "function_call":
                heard.calls.append(Call(item["call_id"], item["name"], json.loads(item["arguments"])))
            elif kind == "function_call_output":
                heard.results.append(Result(item["call_id"], "", text_of(item["output"]), image=self.hear_image(item["output"])))
            elif kind == "reasoning":
                heard.signatures.append(item.get("encrypted_content"))
            else:
                heard.texts.append((item["role"], text_of(item["content"])))
                for part in item["content"] if isinstance(item["content"], list) else []:
                    if part["type"] == "input_image":
                        heard.media.append(media_of_url("image", part["image_url"]))
                    elif part["type"] == "input_file":
                        heard.media.append(media_of_url("document", part.get("file_data") or part["file_url"]))
        heard.tools = [Tool(tool["name"], tool.get("parameters")) for tool in body.get("tools", [])]
        choice = body.get("tool_choice", "")
        heard.choice = choice if isinstance(choice, str) else choice["name"]
        wanted = body.get("text", {}).get("format", {})
        heard.format = {"json_object": "json", "json_schema": wanted.get("schema")}.get(wanted.get("type"))
        return heard

    @staticmethod
    def hear_image(output):
        for part in output if isinstance(output, list) else []:
            if part["type"] == "input_image":
                return part["image_url"].split("base64,")[-1]
        return ""

    def said(self, body):
        said = Said(echo=body["output"], finish="stop")
        for item in body["output"]:
            if item["type"] == "message":
                for part in item["content"]:
                    said.text += part.get("text") or part.get("refusal") or ""
                    said.logprobs = said.logprobs or bool(part.get("logprobs"))
            elif item["type"] == "function_call":
                said.calls.append(Call(item["call_id"], item["name"], json.loads(item["arguments"])))
                said.finish = "tool_calls"
            elif item["type"] == "reasoning":
                said.thoughts += text_of(item.get("summary")) + text_of(item.get("content"))
        if body["status"] == "incomplete":
            reason = body["incomplete_details"]["reason"]
            said.finish = {"max_output_tokens": "length"}.get(reason, reason)
        usage = body.get("usage") or {}
        said.input_tokens, said.output_tokens = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
        return said

    def said_stream(self, data):
        text, error, final, number = "", "", None, -1
        for name, event in sse(data):
            if event == "[DONE]":
                continue
            check(name == event["type"], "the name of an event is its type:", name, event["type"])
            check(event["sequence_number"] == number + 1, "events are numbered without gaps:", event)
            number = event["sequence_number"]
            if name in ("response.output_text.delta", "response.refusal.delta"):
                text += event["delta"]
            elif name == "error":
                error = event["message"]
            elif name == "response.failed":
                error = event["response"]["error"]["message"]
            elif name in ("response.completed", "response.incomplete"):
                final = event["response"]
        if final is None:
            return Said(text=text, ended=False, error=error)
        said = self.said(final)
        check(said.text == text, "the last event repeats the text of the deltas:", said.text, "is not", text)
        return said
