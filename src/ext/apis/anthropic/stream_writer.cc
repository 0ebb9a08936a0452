#include "ext/apis/anthropic/stream_writer.h"

#include "base/text.h"
#include "chat/signature.h"
#include "ext/apis/anthropic/answer_writer.h"

namespace penstock::ext::anthropic {

using chat::Family;
using chat::Finish;

void ObjectEnd::feed(std::string_view fragment) {
  for (char c : fragment) {
    if (std::exchange(escaped_, false)) continue;
    if (in_string_) {
      escaped_ = c == '\\';
      if (c == '"') in_string_ = false;
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
      begun_ = true;
    } else if ((c == '}' || c == ']') && depth_ > 0) {
      --depth_;
    }
  }
}

void MessagesStreamWriter::begin(const chat::StreamHead& head) {
  output_ += "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":";
  if (head.id.empty()) {
    json::append_quoted(output_, "msg_" + request_.id);
  } else {
    json::append_quoted(output_, head.id);
  }
  output_ += R"(,"type":"message","role":"assistant","model":)";
  json::append_quoted(output_, head.model.empty() ? std::string_view(request_.model) : head.model);
  output_ += R"(,"content":[],"stop_reason":null,"stop_sequence":null,"usage":)";
  append_usage(output_, usage_, head.service_tier);
  output_ += "}}\n\n";
}

MessagesStreamWriter::Block& MessagesStreamWriter::last(Kind kind, std::string_view head) {
  if (blocks_.empty() || blocks_.back().kind != kind || blocks_.back().complete) {
    // Whatever is no call ends where the next block begins.
    if (!blocks_.empty() && blocks_.back().kind != Kind::call) blocks_.back().complete = true;
    blocks_.push_back({.kind = kind, .head = std::string(head)});
    advance(false);
  }
  return blocks_.back();
}

void MessagesStreamWriter::show(Block& block) {
  if (std::exchange(block.started, true)) return;
  base::append(output_,
               "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":", base::Digits(front_),
               ",\"content_block\":", block.head, "}\n\n", block.waiting);
  block.head = {};
  block.waiting = {};
}

void MessagesStreamWriter::close(Block& block) {
  show(block);
  block.complete = true;
  base::append(output_,
               "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":", base::Digits(front_),
               "}\n\n");
  ++front_;
}

void MessagesStreamWriter::advance(bool all) {
  while (front_ < blocks_.size()) {
    Block& block = blocks_[front_];
    // A call whose object is complete stays open until something follows: blanks may still come.
    bool passed = block.kind == Kind::call && block.end.reached() && front_ + 1 < blocks_.size();
    if (!all && !block.complete && !passed) {
      show(block);
      return;
    }
    close(block);
  }
}

std::string& MessagesStreamWriter::target(Block& block) { return &block == &blocks_[front_] ? output_ : block.waiting; }

void MessagesStreamWriter::append_delta_head(std::string& out, const Block& block) {
  base::append(out, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":",
               base::Digits(&block - blocks_.data()), ",\"delta\":");
}

void MessagesStreamWriter::add_delta(Block& block, std::string_view type_and_field, std::string_view text) {
  std::string& out = target(block);
  append_delta_head(out, block);
  out += type_and_field;
  json::append_quoted(out, text);
  out += "}}\n\n";
}

// Clients of this dialect ask for one answer and get the first.

void MessagesStreamWriter::text(int choice, std::string_view text) {
  if (choice != 0 || text.empty()) return;
  Block& block = last(Kind::text, R"({"type":"text","text":""})");
  add_delta(block, R"({"type":"text_delta","text":)", text);
}

void MessagesStreamWriter::citation(int choice, const chat::Citation& citation) {
  if (choice != 0 || blocks_.empty() || blocks_.back().kind != Kind::text || blocks_.back().complete) return;
  std::string written;
  if (!append_citation(written, citation)) return;
  std::string& out = target(blocks_.back());
  append_delta_head(out, blocks_.back());
  base::append(out, R"({"type":"citations_delta","citation":)", written, "}}\n\n");
}

void MessagesStreamWriter::refusal(int choice, std::string_view text) {
  refused_ = refused_ || choice == 0;
  this->text(choice, text);
}

void MessagesStreamWriter::thinking(int choice, std::string_view text) {
  if (choice != 0 || text.empty()) return;
  Block& block = last(Kind::thinking, R"({"type":"thinking","thinking":"","signature":""})");
  add_delta(block, R"({"type":"thinking_delta","thinking":)", text);
}

void MessagesStreamWriter::thinking_end(int choice, const chat::Signature& signature, bool redacted) {
  if (choice != 0) return;
  std::string written = chat::write_signature(signature, Family::anthropic);
  if (redacted) {
    std::string head = R"({"type":"redacted_thinking","data":)";
    json::append_quoted(head, written);
    last(Kind::redacted, head + '}').complete = true;
  } else {
    Block& block = last(Kind::thinking, R"({"type":"thinking","thinking":"","signature":""})");
    if (!written.empty()) add_delta(block, R"({"type":"signature_delta","signature":)", written);
    block.complete = true;
  }
  advance(false);
}

void MessagesStreamWriter::media(int, const chat::Media&) {}  // answers in this dialect hold none

void MessagesStreamWriter::call(int choice, int call, std::string_view id, std::string_view name,
                                const chat::Signature& signature) {
  if (choice != 0) return;
  // This dialect seals no calls: a block that means nothing to the client carries the seal there and back.
  if (!signature.empty()) thinking_end(choice, signature, true);
  std::string head = R"({"type":"tool_use","id":)";
  json::append_quoted(head, id);
  head += R"(,"name":)";
  json::append_quoted(head, name);
  head += R"(,"input":{}})";
  if (!blocks_.empty() && blocks_.back().kind != Kind::call) blocks_.back().complete = true;
  blocks_.push_back({.kind = Kind::call, .call = call, .head = std::move(head)});
  advance(false);
}

void MessagesStreamWriter::arguments(int choice, int call, std::string_view fragment) {
  if (choice != 0 || fragment.empty()) return;
  for (std::size_t i = blocks_.size(); i-- > front_;) {
    Block& block = blocks_[i];
    if (block.kind != Kind::call || block.call != call) continue;
    add_delta(block, R"({"type":"input_json_delta","partial_json":)", fragment);
    block.end.feed(fragment);
    if (block.end.reached()) advance(false);
    return;
  }
}

void MessagesStreamWriter::logprobs(int, const json::Value&) {}

void MessagesStreamWriter::finish(int choice, Finish finish, std::string_view stop_sequence) {
  if (choice != 0) return;
  finish_ = finish;
  stop_sequence_ = stop_sequence;
  advance(true);
}

void MessagesStreamWriter::error(const chat::ProviderError& error) {
  output_ += "event: error\ndata: ";
  output_ += write_error_body(error_type_of(error.status), error.message, request_.id);
  output_ += "\n\n";
}

void MessagesStreamWriter::end() {
  advance(true);
  if (finish_ == Finish::error) return error({.status = 502, .message = "the provider could not finish the answer"});
  if (refused_ && finish_ == Finish::stop) finish_ = Finish::refusal;
  output_ += "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":";
  std::string_view word = chat::write_finish(Family::anthropic, finish_);
  if (word.empty()) {
    output_ += "null";
  } else {
    json::append_quoted(output_, word);
  }
  output_ += R"(,"stop_sequence":)";
  if (finish_ == Finish::stop_sequence) {
    json::append_quoted(output_, stop_sequence_);
  } else {
    output_ += "null";
  }
  output_ += R"(},"usage":)";
  append_usage(output_, usage_);
  output_ += "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
}

}  // namespace penstock::ext::anthropic
