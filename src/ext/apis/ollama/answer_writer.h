// Answers as Ollama's /api/chat and /api/generate give them: one JSON object, or a line for each piece of it.
#pragma once

#include <memory>
#include <string>

#include "chat/request.h"
#include "chat/stream.h"

namespace penstock::ext {

enum class OllamaForm : std::uint8_t { chat, generate };

std::string write_ollama_answer(OllamaForm form, const chat::Request& request, const chat::Answer& answer);
// `request` outlives the writer.
std::unique_ptr<chat::StreamWriter> make_ollama_stream_writer(OllamaForm form, const chat::Request& request);
// Of a request without messages or prompt, which only loads the model or frees its memory. request.model and created
// are what counts.
std::string write_ollama_load(OllamaForm form, const chat::Request& request, bool unload);
// {"error":"words"}
std::string write_ollama_error(std::string_view message);

}  // namespace penstock::ext
