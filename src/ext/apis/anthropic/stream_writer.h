// A stream of Anthropic's Messages API: message_start, content blocks one after the other, message_delta, message_stop.
#pragma once

#include <vector>

#include "chat/request.h"
#include "chat/stream.h"

namespace penstock::ext::anthropic {

// Tells where the text of one JSON object ends, fragment by fragment.
class ObjectEnd {
 public:
  void feed(std::string_view fragment);
  bool reached() const { return begun_ && depth_ == 0; }

 private:
  int depth_ = 0;
  bool begun_ = false;
  bool in_string_ = false;
  bool escaped_ = false;
};

// Blocks never interleave: the first that is not complete goes out as it grows, what belongs to later ones waits.
class MessagesStreamWriter : public chat::StreamWriter {
 public:
  explicit MessagesStreamWriter(const chat::Request& request) : request_(request) {}

  std::string_view keep_alive() const override { return "event: ping\ndata: {\"type\":\"ping\"}\n\n"; }

  void begin(const chat::StreamHead& head) override;
  void text(int choice, std::string_view text) override;
  void citation(int choice, const chat::Citation& citation) override;
  void refusal(int choice, std::string_view text) override;
  void thinking(int choice, std::string_view text) override;
  void thinking_end(int choice, const chat::Signature& signature, bool redacted) override;
  void media(int choice, const chat::Media& media) override;
  void call(int choice, int call, std::string_view id, std::string_view name,
            const chat::Signature& signature) override;
  void arguments(int choice, int call, std::string_view fragment) override;
  void logprobs(int choice, const json::Value& logprobs) override;
  void finish(int choice, chat::Finish finish, std::string_view stop_sequence) override;
  void usage(const chat::Usage& usage) override;
  void error(const chat::ProviderError& error) override;
  void end() override;

 private:
  enum class Kind : std::uint8_t { text, thinking, redacted, call };
  struct Block {
    Kind kind;
    int call = 0;
    bool started = false;
    bool complete = false;     // nothing more can come
    std::string head;          // the start event's content_block
    std::string waiting = {};  // deltas that wait for the blocks before to be complete, whole events
    ObjectEnd end = {};
  };

  // message_start, which shows the usage known by then: it waits for that, or for the first content.
  void start();
  // The last block when it is of this kind and not complete, else a new one.
  Block& last(Kind kind, std::string_view head);
  // A delta of the block: {"type":NAME,"FIELD":"text"}.
  void add_delta(Block& block, std::string_view type_and_field, std::string_view text);
  // Where the block's next event belongs: out, or kept until its turn.
  std::string& target(Block& block);
  void append_delta_head(std::string& out, const Block& block);
  // Writes what may be written now; with `all` nothing more will come.
  void advance(bool all);
  void show(Block& block);
  void close(Block& block);

  const chat::Request& request_;
  std::vector<Block> blocks_;  // those before front_ are closed; a block's place is its index
  std::size_t front_ = 0;
  std::string head_;  // message_start up to its usage; empty once it was written
  std::string service_tier_;
  chat::Usage usage_;
  chat::Finish finish_ = chat::Finish::none;
  std::string stop_sequence_;
  bool refused_ = false;
};

}  // namespace penstock::ext::anthropic
