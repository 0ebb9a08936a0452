// The framing of an HTTP/1.1 answer, fed in pieces of any size, and the server-sent events in its body.
#pragma once

#include "bench/epoll.h"

namespace bench {

class Response {
 public:
  enum class State { head, length, chunk_size, chunk, chunk_end, trailer, until_close, done, broken };

  State state() const { return state_; }
  int status() const { return status_; }
  bool closes() const { return closes_; }
  bool begun() const { return state_ != State::head || !held_.empty(); }
  // The peer closed: that ends an answer which says nothing of its length, and breaks any other.
  bool ended_by_close() const { return state_ == State::until_close; }

  void reset() {
    state_ = State::head;
    held_.clear();
    closes_ = false;
  }

  // Hands every piece of the decoded body to `body(std::string_view)`. What follows the answer is ignored.
  template <typename Body>
  State take(std::string_view bytes, Body&& body) {
    while (!bytes.empty() && state_ != State::done && state_ != State::broken) {
      switch (state_) {
        case State::head: take_head(bytes); break;
        case State::length:
        case State::chunk:
        case State::until_close: {
          std::string_view piece = bytes.substr(0, state_ == State::until_close ? bytes.size() : left_);
          body(piece);
          bytes.remove_prefix(piece.size());
          if (state_ == State::until_close) break;
          left_ -= piece.size();
          if (left_ == 0) state_ = state_ == State::length ? State::done : State::chunk_end;
          break;
        }
        default: take_line(bytes); break;
      }
    }
    return state_;
  }

 private:
  void take_head(std::string_view& bytes) {
    std::string_view text = bytes;
    std::size_t held = held_.size();
    if (held != 0) text = held_.append(bytes);
    std::size_t end = text.find("\r\n\r\n");
    if (end == text.npos) {
      if (held == 0) held_.assign(bytes);
      bytes = {};
      return;
    }
    begin_body(text.substr(0, end + 2));
    bytes.remove_prefix(end + 4 - held);
    held_.clear();
  }

  void begin_body(std::string_view head) {
    status_ = head.size() < 12 ? 0 : static_cast<int>(number(head.substr(9, 3)).value_or(0));
    closes_ = equal_fold(header(head, "connection"), "close");
    if (auto length = number(header(head, "content-length"))) {
      left_ = *length;
      state_ = left_ == 0 ? State::done : State::length;
    } else {
      bool chunked = equal_fold(header(head, "transfer-encoding"), "chunked");
      state_ = chunked ? State::chunk_size : State::until_close;
    }
    if (status_ == 0) state_ = State::broken;
  }

  // One line of the chunked coding: a size, the end of a chunk, or a trailer.
  void take_line(std::string_view& bytes) {
    std::size_t end = bytes.find('\n');
    held_.append(bytes.substr(0, end));
    if (end == bytes.npos) {
      bytes = {};
      return;
    }
    bytes.remove_prefix(end + 1);
    if (state_ == State::chunk_size) {
      auto size = number(held_, 16);
      left_ = size.value_or(0);
      state_ = !size ? State::broken : left_ == 0 ? State::trailer : State::chunk;
    } else if (state_ == State::chunk_end) {
      state_ = State::chunk_size;
    } else if (held_.empty() || held_ == "\r") {
      state_ = State::done;
    }
    held_.clear();
  }

  State state_ = State::head;
  std::string held_;  // the beginning of a head or line
  std::uint64_t left_ = 0;
  int status_ = 0;
  bool closes_ = false;
};

// Lines of a stream. `event(sent_ns)` is called for every data line; 0 where it has no time of sending.
class EventScanner {
 public:
  void reset() { held_.clear(); }

  template <typename Event>
  void take(std::string_view bytes, Event&& event) {
    while (!bytes.empty()) {
      std::size_t end = bytes.find('\n');
      std::string_view line = bytes.substr(0, end);
      if (end == bytes.npos) {
        held_.append(line);
        return;
      }
      if (!held_.empty()) line = held_.append(line);
      if (line.starts_with("data:")) event(sent_ns(line));
      held_.clear();
      bytes.remove_prefix(end + 1);
    }
  }

 private:
  static std::int64_t sent_ns(std::string_view line) {
    std::size_t at = line.find(kStampMark);
    if (at == line.npos || line.size() < at + 1 + kStampDigits) return 0;
    return static_cast<std::int64_t>(number(line.substr(at + 1, kStampDigits)).value_or(0));
  }

  std::string held_;
};

}  // namespace bench
