"""Ollama's chat."""

import json

from dialect import Call, Dialect, Heard, Media, Result, Said, Tool
from harness import check

FINISHES = {"stop": "stop", "length": "length"}


class Chat(Dialect):
    name = "ollama_chat"
    title = "Ollama's chat"
    PARAMETERS = {name: "options." + path for name, path in {
        "max_tokens": "num_predict", "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "seed": "seed",
        "stop": "stop", "presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty"}.items()} | {
            "effort": "think", "logprobs": "logprobs"}

    def path(self, model, stream):
        return "/api/chat"

    def messages(self, turn):
        if turn.echo is not None:
            return [turn.echo]
        if turn.cache:
            self.lacks("cache")
        if turn.role == "tool":
            for result in turn.results:
                if result.error:
                    self.lacks("result_error")
            return [{"role": "tool", "tool_name": r.name, "content": r.text} | ({"images": [r.image]} if r.image else {})
                    for r in turn.results]
        message = {"role": turn.role, "content": turn.text}
        for media in turn.media:
            if media.kind != "image" or media.url:
                self.lacks(media.kind + ("_url" if media.url else ""))
            message.setdefault("images", []).append(media.data)
        if turn.calls:
            message["tool_calls"] = [{"function": {"name": call.name, "arguments": call.arguments}} for call in turn.calls]
        return [message]

    def body(self, question, model, stream):
        body = {"model": model, "messages": [], "stream": stream}
        if question.system:
            body["messages"].append({"role": "system", "content": question.system})
        for turn in question.turns:
            body["messages"] += self.messages(turn)
        if question.tools:
            body["tools"] = [{"type": "function", "function": {"name": tool.name, "parameters": tool.schema}}
                             for tool in question.tools]
        if question.choice:
            self.lacks("tool_choice")
        if question.format:
            body["format"] = question.format
        self.put_parameters(body, question)
        return body

    def heard(self, body):
        heard = Heard(parameters=self.parameters_of(body))
        for message in body["messages"]:
            content = message.get("content", "")
            if message["role"] == "system":
                heard.system += content
                continue
            images = message.get("images") or []
            if message["role"] == "tool":
                heard.results.append(Result("", message.get("tool_name", ""), content, "".join(images)))
                continue
            heard.texts.append((message["role"], content))
            heard.media += [Media("image", data=image) for image in images]
            if message.get("thinking"):
                heard.thoughts.append(message["thinking"])
            for call in message.get("tool_calls") or []:
                heard.calls.append(Call("", call["function"]["name"], call["function"]["arguments"]))
        heard.tools = [Tool(tool["function"]["name"], tool["function"].get("parameters")) for tool in body.get("tools") or []]
        # Without tools none can be called.
        heard.choice = "" if heard.tools else "none"
        heard.format = body.get("format")
        return heard

    def said(self, body):
        message = body["message"]
        said = Said(text=message.get("content", ""), thoughts=message.get("thinking", ""), echo=message,
                    finish=FINISHES.get(body.get("done_reason"), ""), logprobs=bool(body.get("logprobs")))
        for call in message.get("tool_calls") or []:
            said.calls.append(Call(call.get("id", ""), call["function"]["name"], call["function"]["arguments"]))
        if said.calls and said.finish == "stop":
            said.finish = "tool_calls"
        said.input_tokens, said.output_tokens = body.get("prompt_eval_count", 0), body.get("eval_count", 0)
        said.ended = body["done"]
        return said

    def said_stream(self, data):
        whole = Said(ended=False)
        for line in data.decode().splitlines():
            event = json.loads(line)
            check(not whole.ended, "a line behind the last one:", line)
            if "error" in event:
                whole.error = self.error(event)
                continue
            piece = self.said(event)
            whole.text += piece.text
            whole.thoughts += piece.thoughts
            whole.calls += piece.calls
            whole.logprobs = whole.logprobs or piece.logprobs
            if event["done"]:
                whole.ended = True
                whole.finish, whole.input_tokens, whole.output_tokens = piece.finish, piece.input_tokens, piece.output_tokens
        if whole.calls and whole.finish == "stop":
            whole.finish = "tool_calls"
        return whole

    def error(self, body):
        check(isinstance(body["error"], str), "an error of Ollama's is a text:", body)
        return body["error"]
