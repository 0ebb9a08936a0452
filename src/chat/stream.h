// A streamed answer in no dialect: what a provider's reader says of it, piece by piece, to whoever writes it down in
// the client's dialect. Nothing is copied on the way: views are valid during the call only. One stream, one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "chat/answer.h"

namespace penstock::chat {

struct StreamHead {
  std::string_view id;
  std::string_view model;
  std::int64_t created = 0;
  std::string_view service_tier = {};
  std::string_view system_fingerprint = {};
};

// The order: begin() first and once; finish() once per choice after its last content; usage() any time, each replaces
// the one before; end() last, and only after the provider's own proper end. error() instead of whatever would follow.
// `choice` counts from 0. Content of one choice comes in the order the model made it, but fragments of several calls
// may alternate.
class StreamSink {
 public:
  virtual ~StreamSink() = default;
  virtual void begin(const StreamHead& head) = 0;
  virtual void text(int choice, std::string_view text) = 0;
  virtual void citation(int choice, const Citation& citation) = 0;  // of the text so far
  virtual void refusal(int choice, std::string_view text) = 0;
  virtual void thinking(int choice, std::string_view text) = 0;
  // The thought so far is complete: its seal. With `redacted` it is a thought of its own, without text.
  virtual void thinking_end(int choice, const Signature& signature, bool redacted) = 0;
  virtual void media(int choice, const Media& media) = 0;
  // A call begins. `call` counts the choice's calls from 0. The fragments of its arguments together are the text of a
  // JSON object: readers say "{}" for a call that has none, before finish().
  virtual void call(int choice, int call, std::string_view id, std::string_view name, const Signature& signature) = 0;
  virtual void arguments(int choice, int call, std::string_view fragment) = 0;
  virtual void logprobs(int choice, const json::Value& logprobs) = 0;  // of the text just before
  virtual void finish(int choice, Finish finish, std::string_view stop_sequence) = 0;
  virtual void usage(const Usage& usage) = 0;
  virtual void error(const ProviderError& error) = 0;
  virtual void end() = 0;
};

// A provider's stream, read. Any split of its bytes gives the same calls of the sink.
class StreamReader {
 public:
  virtual ~StreamReader() = default;
  // An error: this is not what the protocol promises; nothing more can be read.
  virtual Result<void> feed(std::string_view bytes, StreamSink& sink) = 0;
  // The connection's message ended. An error when the stream was cut before its proper end: for a protocol with an end
  // mark, without it. Calls sink.end() when the mark did not do so.
  virtual Result<void> finish(StreamSink& sink) = 0;
};

// A client's stream, written. Each call of the sink appends whole events to the output, or nothing: never a part of
// one.
class StreamWriter : public StreamSink {
 public:
  // What is to be sent so far; the caller sends it and clears it.
  std::string& output() { return output_; }
  // For the head of the answer.
  virtual std::string_view content_type() const { return "text/event-stream; charset=utf-8"; }
  // What keeps a quiet connection open and means nothing to the client; empty where the dialect has no such thing.
  virtual std::string_view keep_alive() const { return ": ping\n\n"; }

 protected:
  std::string output_;
};

// Makes the whole answer of a stream: for those who keep it, and for tests.
class AnswerCollector : public StreamSink {
 public:
  void begin(const StreamHead& head) override;
  void text(int choice, std::string_view text) override;
  void citation(int choice, const Citation& citation) override;
  void refusal(int choice, std::string_view text) override;
  void thinking(int choice, std::string_view text) override;
  void thinking_end(int choice, const Signature& signature, bool redacted) override;
  void media(int choice, const Media& media) override;
  void call(int choice, int call, std::string_view id, std::string_view name, const Signature& signature) override;
  void arguments(int choice, int call, std::string_view fragment) override;
  void logprobs(int choice, const json::Value& logprobs) override;
  void finish(int choice, Finish finish, std::string_view stop_sequence) override;
  void usage(const Usage& usage) override { answer_.usage = usage; }
  void error(const ProviderError& error) override { error_ = error; }
  void end() override { ended_ = true; }

  Answer& answer() { return answer_; }
  const std::optional<ProviderError>& failure() const { return error_; }
  bool ended() const { return ended_; }

 private:
  Choice& at(int choice);
  // The last part of the choice when it is a T, else a new one.
  template <class T>
  T& last(int choice);
  Answer answer_;
  std::vector<std::vector<std::size_t>> calls_;  // per choice: the part of each call
  bool sealed_ = false;                          // the last thought is complete
  std::optional<ProviderError> error_;
  bool ended_ = false;
};

// Says a whole answer as a stream would have said it: for a client that asked for a stream of a provider that sent
// none.
void replay(const Answer& answer, StreamSink& sink);

}  // namespace penstock::chat
