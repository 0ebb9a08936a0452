// A client's body with a few places replaced; everything else stays as it was, byte for byte.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "net/stream.h"

namespace penstock::llm {

class Splice {
 public:
  // `inserted` is empty, keeps what is put in, and stays where it is as long as the pieces; so does `body`.
  Splice(std::string_view body, std::string& inserted) : body_(body), inserted_(inserted) {}

  // What is appended to the string until the next call stands in the place of [begin, end). At most kEditsMax times;
  // the places do not overlap.
  static constexpr std::size_t kEditsMax = 6;
  std::string& replace(std::size_t begin, std::size_t end);
  bool empty() const { return count_ == 0; }
  // The whole of it. After that nothing can be replaced.
  net::Pieces pieces();

 private:
  struct Edit {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t text_begin = 0;  // in inserted_
    std::size_t text_end = 0;
  };
  std::string_view body_;
  std::string& inserted_;
  std::array<Edit, kEditsMax> edits_;
  std::size_t count_ = 0;
};

}  // namespace penstock::llm
