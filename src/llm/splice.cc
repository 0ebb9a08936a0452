#include "llm/splice.h"

#include <algorithm>
#include <span>

namespace penstock::llm {

std::string& Splice::replace(std::size_t begin, std::size_t end) {
  if (count_ > 0) edits_[count_ - 1].text_end = inserted_.size();
  edits_[count_++] = {begin, end, inserted_.size(), inserted_.size()};
  return inserted_;
}

net::Pieces Splice::pieces() {
  if (count_ == 0) return body_;
  edits_[count_ - 1].text_end = inserted_.size();
  auto edits = std::span(edits_).first(count_);
  std::ranges::sort(edits, {}, &Edit::begin);
  net::Pieces out;
  std::size_t from = 0;
  for (const Edit& edit : edits) {
    out.add(body_.substr(from, edit.begin - from));
    out.add(std::string_view(inserted_).substr(edit.text_begin, edit.text_end - edit.text_begin));
    from = edit.end;
  }
  out.add(body_.substr(from));
  // Some more pieces are to go out with these: a head.
  constexpr std::size_t kPiecesMax = net::Pieces::kMax - 3;
  if (out.items().size() <= kPiecesMax) return out;
  std::string whole = out.joined();
  inserted_.assign(whole);
  return std::string_view(inserted_);
}

}  // namespace penstock::llm
