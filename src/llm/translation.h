// A streamed answer on its way from a provider's dialect into the client's.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "chat/codec.h"
#include "llm/provider.h"

namespace penstock::llm {

// Reads, notes what the call needs to know, and writes. One attempt, one thread. What it is made of outlives it.
class Translation : private chat::StreamSink {
 public:
  Translation(const Provider& provider, const chat::ClientCodec& codec, const chat::Request& request);

  // As in chat::StreamReader. After an error nothing more can be read.
  Result<void> feed(std::string_view bytes) { return reader_->feed(bytes, *this); }
  Result<void> finish() { return reader_->finish(*this); }
  // Says a whole answer as a stream.
  void replay(const chat::Answer& answer) { chat::replay(answer, *this); }
  // For the client: the stream breaks off for this reason.
  void break_off(const chat::ProviderError& error) { writer_->error(error); }

  // What is to be sent; the caller clears it.
  std::string& output() { return writer_->output(); }
  std::string_view content_type() const { return writer_->content_type(); }
  std::string_view keep_alive() const { return writer_->keep_alive(); }

  // Something of the answer itself was said: from now on it is this provider's.
  bool begun() const { return pieces_ > 0 || finished_; }
  bool ended() const { return ended_; }
  // What the provider reported instead of an answer, or within one.
  const std::optional<chat::ProviderError>& failure() const { return failure_; }
  const Usage& usage() const { return usage_; }
  const std::string& service_tier() const { return service_tier_; }  // as the provider names it; empty: it does not
  std::uint32_t pieces() const { return pieces_; }                   // of content
  std::uint64_t content_bytes() const { return bytes_; }             // of text, thoughts and arguments

 private:
  void note(std::string_view text) {
    ++pieces_;
    bytes_ += text.size();
  }
  void begin(const chat::StreamHead& head) override;
  void text(int choice, std::string_view text) override;
  void citation(int choice, const chat::Citation& citation) override { writer_->citation(choice, citation); }
  void refusal(int choice, std::string_view text) override;
  void thinking(int choice, std::string_view text) override;
  void thinking_end(int choice, const chat::Signature& signature, bool redacted) override;
  void media(int choice, const chat::Media& media) override;
  void call(int choice, int call, std::string_view id, std::string_view name,
            const chat::Signature& signature) override;
  void arguments(int choice, int call, std::string_view fragment) override;
  void logprobs(int choice, const json::Value& logprobs) override { writer_->logprobs(choice, logprobs); }
  void finish(int choice, chat::Finish finish, std::string_view stop_sequence) override;
  void usage(const Usage& usage) override;
  void error(const chat::ProviderError& error) override;
  void end() override;

  const chat::Request& request_;
  std::unique_ptr<chat::StreamReader> reader_;
  std::unique_ptr<chat::StreamWriter> writer_;
  Usage usage_;
  std::string service_tier_;
  std::optional<chat::ProviderError> failure_;
  std::uint32_t pieces_ = 0;
  std::uint64_t bytes_ = 0;
  bool finished_ = false;
  bool ended_ = false;
};

// The provider's failure that an answer's ending shows; nothing for endings that are none.
std::optional<chat::ProviderError> failure_of(chat::Finish finish);

}  // namespace penstock::llm
