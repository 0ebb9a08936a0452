"""Gemini's generateContent."""

from dialect import Call, Dialect, Heard, Media, Result, Said, Tool, sse, text_of
from harness import check

FINISHES = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "PROHIBITED_CONTENT": "content_filter"}
CHOICES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


class Content(Dialect):
    name = "gemini_content"
    title = "Gemini's generateContent"
    PARAMETERS = {name: "generationConfig." + path for name, path in {
        "max_tokens": "maxOutputTokens", "temperature": "temperature", "top_p": "topP", "top_k": "topK", "seed": "seed",
        "n": "candidateCount", "stop": "stopSequences", "logprobs": "responseLogprobs",
        "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty",
        "effort": "thinkingConfig.thinkingBudget"}.items()} | {"service_tier": "serviceTier"}
    TOKENS = {"low": 2048, "medium": 8192, "high": 16384}

    def path(self, model, stream):
        return f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")

    def to_wire(self, name, value):
        return self.TOKENS[value] if name == "effort" else value

    def from_wire(self, name, value):
        return next((word for word, tokens in self.TOKENS.items() if tokens >= value), "high") if name == "effort" else value

    def parts(self, turn):
        if turn.cache:
            self.lacks("cache")
        parts = [{"text": turn.text}] if turn.text else []
        for media in turn.media:
            if media.url:
                parts.append({"fileData": {"fileUri": media.url, "mimeType": media.type or "image/png"}})
            else:
                parts.append({"inlineData": {"mimeType": media.type, "data": media.data}})
        parts += [{"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}} for call in turn.calls]
        for result in turn.results:
            answer = {"id": result.id, "name": result.name,
                      "response": {"error": result.text} if result.error else {"output": result.text}}
            if result.image:
                answer["parts"] = [{"inlineData": {"mimeType": "image/png", "data": result.image}}]
            parts.append({"functionResponse": answer})
        return parts

    def body(self, question, model, stream):
        body = {"contents": []}
        if question.system:
            body["systemInstruction"] = {"parts": [{"text": question.system}]}
        for turn in question.turns:
            role = "model" if turn.role == "assistant" else "user"
            body["contents"].append(turn.echo if turn.echo is not None else {"role": role, "parts": self.parts(turn)})
        if question.tools:
            body["tools"] = [{"functionDeclarations": [{"name": tool.name, "parametersJsonSchema": tool.schema}
                                                       for tool in question.tools]}]
        if question.choice:
            named = question.choice not in CHOICES
            config = {"mode": "ANY" if named else CHOICES[question.choice]}
            body["toolConfig"] = {"functionCallingConfig": config | ({"allowedFunctionNames": [question.choice]} if named else {})}
        if question.format:
            config = body.setdefault("generationConfig", {})
            config["responseMimeType"] = "application/json"
            if question.format != "json":
                config["responseJsonSchema"] = question.format
        self.put_parameters(body, question)
        if "effort" in question.parameters:
            body["generationConfig"]["thinkingConfig"]["includeThoughts"] = True
        return body

    def hear_part(self, heard, role, part):
        if part.get("thought"):
            heard.thoughts.append(part.get("text", ""))
        elif "text" in part:
            heard.texts.append((role, part["text"]))
        if "thoughtSignature" in part:
            heard.signatures.append(part["thoughtSignature"])
        if "inlineData" in part:
            heard.media.append(media_of(part["inlineData"]))
        if "fileData" in part:
            given = part["fileData"]
            heard.media.append(Media(kind_of(given.get("mimeType", "image/")), url=given["fileUri"]))
        if "functionCall" in part:
            given = part["functionCall"]
            heard.calls.append(Call(given.get("id", ""), given["name"], given.get("args", {})))
        if "functionResponse" in part:
            given = part["functionResponse"]
            images = "".join(p["inlineData"]["data"] for p in given.get("parts", []) if "inlineData" in p)
            heard.results.append(Result(given.get("id", ""), given["name"], str(given["response"]), images,
                                        "error" in given["response"]))

    def heard(self, body):
        heard = Heard(parameters=self.parameters_of(body), system=text_of(body.get("systemInstruction", {}).get("parts")))
        for content in body["contents"]:
            for part in content["parts"]:
                self.hear_part(heard, "assistant" if content.get("role") == "model" else "user", part)
        for tool in body.get("tools", []):
            heard.tools += [Tool(each["name"], each.get("parametersJsonSchema") or each.get("parameters"))
                            for each in tool.get("functionDeclarations", [])]
        config = body.get("toolConfig", {}).get("functionCallingConfig", {})
        words = {wire: word for word, wire in CHOICES.items()}
        allowed = config.get("allowedFunctionNames")
        heard.choice = allowed[0] if allowed and len(allowed) == 1 else words.get(config.get("mode"), "")
        config = body.get("generationConfig", {})
        if config.get("responseMimeType") == "application/json":
            heard.format = config.get("responseJsonSchema") or config.get("responseSchema") or "json"
        return heard

    def said(self, body):
        if "blockReason" in body.get("promptFeedback", {}):
            return Said(finish="content_filter")
        candidate = body["candidates"][0]
        said = Said(echo=candidate.get("content"), choices=len(body["candidates"]))
        for part in candidate.get("content", {}).get("parts", []):
            if part.get("thought"):
                said.thoughts += part.get("text", "")
            else:
                said.text += part.get("text", "")
            if "functionCall" in part:
                call = part["functionCall"]
                said.calls.append(Call(call.get("id", ""), call["name"], call.get("args", {})))
        said.finish = FINISHES.get(candidate.get("finishReason"), "")
        if said.calls and said.finish == "stop":
            said.finish = "tool_calls"
        said.logprobs = "logprobsResult" in candidate
        usage = body.get("usageMetadata", {})
        said.input_tokens = usage.get("promptTokenCount", 0)
        said.output_tokens = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
        return said

    def said_stream(self, data):
        whole, indexes = Said(ended=False), set()
        for _, event in sse(data):
            if "error" in event:
                whole.error = self.error(event)
                continue
            if "blockReason" in event.get("promptFeedback", {}):
                whole.finish = "content_filter"
            for candidate in event.get("candidates", []):
                index = candidate.get("index", 0)
                indexes.add(index)
                if index == 0:
                    piece = self.said(event | {"candidates": [candidate]})
                    whole.text += piece.text
                    whole.thoughts += piece.thoughts
                    whole.calls += piece.calls
                    whole.finish = piece.finish or whole.finish
                    whole.logprobs = whole.logprobs or piece.logprobs
            usage = event.get("usageMetadata", {})
            whole.input_tokens = usage.get("promptTokenCount", whole.input_tokens)
            whole.output_tokens = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0) or whole.output_tokens
        if whole.calls and whole.finish == "stop":
            whole.finish = "tool_calls"
        whole.ended = bool(whole.finish)
        whole.choices = len(indexes)
        return whole

    def error(self, body):
        error = body["error"]
        check(isinstance(error["code"], int) and error["status"].isupper(), "an error of Gemini's has a code and a status:", error)
        return error["message"]


def kind_of(mime):
    kind = mime.split("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"


def media_of(inline):
    return Media(kind_of(inline["mimeType"]), inline["mimeType"], inline["data"])
