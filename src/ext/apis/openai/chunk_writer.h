// What the streams of OpenAI's chat and completions APIs have in common: the same head on every chunk, one choice in
// each, usage in a last one without choices when the client asked for it, and [DONE].
#pragma once

#include "chat/request.h"
#include "chat/stream.h"
#include "json/writer.h"

namespace penstock::ext {

class OpenAiChunkWriter : public chat::StreamWriter {
 public:
  void usage(const chat::Usage& usage) override { usage_ = usage; }
  void error(const chat::ProviderError& error) override;
  void end() override;

 protected:
  // `request` outlives the writer. `object` is the name of the chunks, `prefix` what ids begin with.
  OpenAiChunkWriter(const chat::Request& request, std::string_view object, std::string_view prefix)
      : request_(request), object_(object), id_prefix_(prefix) {}

  void begin(const chat::StreamHead& head) override;
  const std::string& id() const { return id_; }
  // Begins a chunk: {"index": ... of its choice, to be closed by the caller.
  json::Writer open_chunk(int choice);
  void close_chunk();

 private:
  const chat::Request& request_;
  std::string_view object_;
  std::string_view id_prefix_;
  std::string id_;
  std::string head_;  // of every chunk, up to its choices
  chat::Usage usage_;
  bool failed_ = false;
};

}  // namespace penstock::ext
