"""LangChain's classes for OpenAI, with whatever provider behind."""

from any_provider import ASK_ONE, ASK_TWO, BEHIND, CLOCK, KEY, MODELS, PNG_BASE64, PUMP, ROOT, SEES, WEATHER, check, check_weather, run
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "of a city", "parameters": WEATHER}},
         {"type": "function", "function": {"name": "get_clock", "description": "of a zone", "parameters": CLOCK}}]


def model(name="chat", **more):
    return ChatOpenAI(model=MODELS[name], base_url=ROOT + "/v1", api_key=KEY, max_retries=0, timeout=30, **more)


def chat():
    answer = model().invoke([SystemMessage("Be short."), HumanMessage("hello")])
    check(len(answer.content.split()) == 32 and answer.usage_metadata["output_tokens"] > 0, answer)


def stream():
    whole = None
    for chunk in model(stream_usage=True).stream("hello"):
        whole = chunk if whole is None else whole + chunk
    check(len(whole.content.split()) == 32 and whole.usage_metadata["output_tokens"] > 0, whole)


def tools():
    bound = model().bind_tools(TOOLS)
    talk = [HumanMessage(ASK_ONE)]
    first = bound.invoke(talk)
    check([call["name"] for call in first.tool_calls] == ["get_weather"], first)
    check_weather(first.tool_calls[0]["args"])
    talk += [first, ToolMessage("18 C", tool_call_id=first.tool_calls[0]["id"])]
    second = bound.invoke(talk)
    check("18 C" in second.content, second)
    talk += [second, HumanMessage(ASK_TWO)]
    third = None
    for chunk in bound.stream(talk):
        third = chunk if third is None else third + chunk
    check([call["name"] for call in third.tool_calls] == ["get_clock", "get_weather"], third)
    talk += [third] + [ToolMessage(said, tool_call_id=call["id"]) for said, call in zip(("noon", "19 C"), third.tool_calls)]
    last = bound.invoke(talk)
    check("noon" in last.content and "19 C" in last.content, last)


def vision():
    answer = model().invoke([HumanMessage([{"type": "text", "text": "What is it?"}, {
        "type": "image", "base64": PNG_BASE64, "mime_type": "image/png"}])])
    check(SEES in answer.content, answer)


def structured():
    pump = model().with_structured_output({"title": "pump", "description": "a pump", **PUMP}, method="json_schema").invoke("a pump")
    check(sorted(pump) == ["bars", "name", "running"], pump)


def embeddings():
    if "embed" not in MODELS:
        return f"{BEHIND} has none"
    vectors = OpenAIEmbeddings(model=MODELS["embed"], base_url=ROOT + "/v1", api_key=KEY, check_embedding_ctx_length=False
                               ).embed_documents(["one pump", "two pumps"])
    check(len(vectors) == 2 and len(vectors[0]) > 8, "vectors")


run([chat, stream, tools, vision, structured, embeddings])
