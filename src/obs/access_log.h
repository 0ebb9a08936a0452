// The access log: one JSON line per finished request.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "obs/event.h"

namespace penstock::obs {

// Formats lines, keeping what the next one will need again: the second it happened in and the names in quotes. One
// thread.
class AccessLog {
 public:
  // Appends the event's line with its newline. Valid JSON whatever the caller wrote.
  void append(std::string& out, const RequestEvent& event);

 private:
  struct Quoted {
    const char* label = nullptr;
    std::string text;  // empty: not used yet
  };
  std::string_view quoted(Label label);
  char* put_quoted(char* at, std::string_view words);
  std::string_view text_of(const ClientAddress& client);
  char* put_time(char* at, base::WallMicros time);

  std::array<Quoted, 64> quoted_;  // by address; two that meet take turns
  std::int64_t second_ = -1;       // since the epoch, of stamp_
  std::array<char, 20> stamp_{};   // 2026-01-31T12:00:00.
  std::string scratch_;
  ClientAddress client_{};  // the one of client_text_
  std::string client_text_;
};

}  // namespace penstock::obs
