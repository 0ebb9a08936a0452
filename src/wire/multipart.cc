#include "wire/multipart.h"

#include <algorithm>
#include <vector>

#include "wire/chars.h"
#include "wire/http1.h"

namespace penstock::wire {
namespace {

std::unexpected<std::string> defect(std::string_view what) { return std::unexpected(std::string(what)); }

void skip_blanks(std::string_view& text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
}

// Cuts what satisfies `fits` off the front of `rest`.
template <class Fits>
std::string_view take_while(std::string_view& rest, Fits fits) {
  auto end = std::find_if_not(rest.begin(), rest.end(), fits);
  std::string_view taken = rest.substr(0, static_cast<std::size_t>(end - rest.begin()));
  rest.remove_prefix(taken.size());
  return taken;
}

// RFC 2046 section 5.1.1, without the space, which only a quoted value can have.
bool is_boundary(char c) {
  return (is_token(c) && std::string_view("!#$%&*^`|~").find(c) == std::string_view::npos) ||
         std::string_view("(),/:=?").find(c) != std::string_view::npos;
}

bool unquoted(char c) { return is_token(c); }
bool unquoted_boundary(char c) { return is_token(c) || is_boundary(c); }

// "quoted", from its first quote on. Readers disagree about backslashes, and with them about where a value ends: only
// where the next parameter cannot be hidden or made up by that they are allowed.
bool take_quoted(std::string_view& rest, std::string& value) {
  std::size_t at = 1;
  while (at < rest.size() && rest[at] != '"') {
    // Browsers escape quotes as %22; a backslash before anything but a quote is part of a Windows path.
    if (rest[at] == '\\' && at + 1 < rest.size() && (rest[at + 1] == '"' || rest[at + 1] == '\\')) ++at;
    value += rest[at++];
  }
  if (at >= rest.size()) return false;
  std::string_view sent = rest.substr(1, at - 1);
  bool escapes = sent.find('\\') != std::string_view::npos;
  if (escapes && (sent.back() == '\\' || sent.find(';') != std::string_view::npos)) return false;
  rest.remove_prefix(at + 1);
  return true;
}

// The parameters of a field value, one after the other: name=token or name="quoted", each name once.
class Parameters {
 public:
  // `text`: from behind the first semicolon. `bare`: what a value without quotes may consist of.
  Parameters(std::string_view text, bool (*bare)(char)) : rest_(text), bare_(bare) {}

  // False at the end and at a defect.
  bool next() {
    skip_blanks(rest_);
    if (rest_.empty()) return false;
    broken_ = !take();
    return !broken_;
  }
  bool broken() const { return broken_; }
  bool is(std::string_view name) const { return equal_ignoring_case(names_.back(), name); }
  const std::string& value() const { return value_; }

 private:
  bool take() {
    std::string_view name = take_while(rest_, is_token);
    if (name.empty() || !rest_.starts_with('=')) return false;
    // Names with an asterisk say the same in another spelling (RFC 8187), which some readers prefer and others ignore.
    if (name.find('*') != std::string_view::npos && !equal_ignoring_case(name, "filename*")) return false;
    for (std::string_view known : names_) {
      if (equal_ignoring_case(known, name)) return false;
    }
    names_.push_back(name);
    rest_.remove_prefix(1);
    value_.clear();
    if (rest_.starts_with('"')) {
      if (!take_quoted(rest_, value_)) return false;
    } else {
      value_ = take_while(rest_, bare_);
      if (value_.empty()) return false;
    }
    skip_blanks(rest_);
    if (!rest_.empty() && rest_.front() != ';') return false;
    if (!rest_.empty()) rest_.remove_prefix(1);
    return true;
  }

  std::string_view rest_;
  bool (*bare_)(char);
  std::vector<std::string_view> names_;
  std::string value_;
  bool broken_ = false;
};

struct PartHead {
  std::string name;
  std::string file;
  bool named = false;
  bool disposed = false;  // has its content-disposition
};

// The value of Content-Disposition: form-data; name="..."; filename="..."
bool read_disposition(std::string_view value, PartHead& found) {
  std::size_t end = value.find(';');
  if (!equal_ignoring_case(value.substr(0, end), "form-data") || end == std::string_view::npos) return false;
  Parameters parameters(value.substr(end + 1), unquoted);
  while (parameters.next()) {
    if (parameters.is("name")) {
      found.name = parameters.value();
      found.named = true;
    } else if (parameters.is("filename")) {
      found.file = parameters.value();
    }
  }
  // Escapes and encoded words (RFC 2047) would be undone by some readers.
  bool plain = found.name.find('\\') == std::string::npos && found.name.find('"') == std::string::npos &&
               found.name.find("=?") == std::string::npos;
  return !parameters.broken() && plain;
}

// RFC 7578 section 4.7 gives up the other encodings, which some readers still undo.
bool is_plain_encoding(std::string_view value) {
  while (!value.empty() && is_blank(value.back())) value.remove_suffix(1);
  return equal_ignoring_case(value, "7bit") || equal_ignoring_case(value, "8bit") ||
         equal_ignoring_case(value, "binary");
}

// The fields of a part, line by line, without the empty line at their end.
std::expected<PartHead, std::string> read_part_fields(std::string_view head) {
  PartHead found;
  while (!head.empty()) {
    std::size_t end = std::min(head.find("\r\n"), head.size());
    std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    std::string_view name = take_while(line, is_token);
    if (name.empty() || !line.starts_with(':') || std::any_of(line.begin(), line.end(), is_control))
      return defect("the head of a part is malformed");
    std::string_view value = line.substr(1);
    skip_blanks(value);
    if (equal_ignoring_case(name, "content-transfer-encoding") && !is_plain_encoding(value))
      return defect("a part has a content-transfer-encoding; send it as it is");
    if (!equal_ignoring_case(name, "content-disposition")) continue;
    if (std::exchange(found.disposed, true) || !read_disposition(value, found))
      return defect("the content-disposition of a part is malformed");
  }
  if (!found.named) return defect("a part does not name its field");
  return found;
}

}  // namespace

std::string form_boundary(std::string_view content_type) {
  std::size_t end = content_type.find(';');
  std::string_view type = content_type.substr(0, end);
  while (!type.empty() && is_blank(type.back())) type.remove_suffix(1);
  if (end == std::string_view::npos || !equal_ignoring_case(type, "multipart/form-data")) return {};
  Parameters parameters(content_type.substr(end + 1), unquoted_boundary);
  std::string boundary;
  while (parameters.next()) {
    if (parameters.is("boundary")) boundary = parameters.value();
  }
  bool fine = !parameters.broken() && !boundary.empty() && boundary.size() <= 70 && boundary.back() != ' ' &&
              std::all_of(boundary.begin(), boundary.end(), [](char c) { return c == ' ' || is_boundary(c); });
  return fine ? boundary : std::string();
}

std::string form_content_type(std::string_view boundary) {
  std::string type = "multipart/form-data; boundary=";
  if (std::all_of(boundary.begin(), boundary.end(), is_token)) return type.append(boundary);
  return type.append("\"").append(boundary).append("\"");
}

MultipartReader::MultipartReader(std::string_view boundary, MultipartListener& listener)
    : delimiter_("\r\n--" + std::string(boundary)), listener_(listener) {}

void MultipartReader::drop(std::size_t bytes) {
  window_.erase(0, bytes);
  at_ += bytes;
}

std::expected<void, std::string> MultipartReader::feed(std::string_view bytes) {
  window_ += bytes;
  while (true) {
    auto moved = advance();
    if (!moved) return std::unexpected(moved.error());
    if (!*moved) return {};
  }
}

MultipartReader::Outcome MultipartReader::advance() {
  switch (step_) {
    case Step::preamble: return skip_preamble();
    case Step::delimiter: return read_delimiter();
    case Step::part_head: return read_part_head();
    case Step::content: return read_content();
    case Step::epilogue: return read_epilogue();
  }
  return false;
}

// A form starts with its first boundary; no client writes anything before it, and readers differ in what they would
// make of it.
MultipartReader::Outcome MultipartReader::skip_preamble() {
  std::string_view first = std::string_view(delimiter_).substr(2);
  if (window_.size() < first.size()) {
    if (!first.starts_with(window_)) return defect("it does not start with its boundary");
    return false;
  }
  if (!window_.starts_with(first)) return defect("it does not start with its boundary");
  drop(first.size());
  step_ = Step::delimiter;
  return true;
}

// Behind a boundary: CRLF and another part, or two dashes and the end.
MultipartReader::Outcome MultipartReader::read_delimiter() {
  if (window_.size() < 2) return false;
  if (window_.starts_with("--")) {
    drop(2);
    step_ = Step::epilogue;
    return true;
  }
  if (!window_.starts_with("\r\n")) return defect("something follows a boundary on its line");
  if (++parts_ > kPartsMax) return defect("it has more than 1024 parts");
  drop(2);
  step_ = Step::part_head;
  return true;
}

// Nobody writes anything behind the end, and readers differ in what they would make of it.
MultipartReader::Outcome MultipartReader::read_epilogue() {
  if (!std::string_view("\r\n").starts_with(window_)) return defect("something follows its closing boundary");
  return false;
}

MultipartReader::Outcome MultipartReader::read_part_head() {
  std::size_t end = window_.find("\r\n\r\n");
  if (std::min(end, window_.size()) > kPartHeadBytesMax) return defect("the head of a part is larger than 8 KiB");
  if (end == std::string::npos) return false;
  auto found = read_part_fields(std::string_view(window_).substr(0, end));
  if (!found) return std::unexpected(found.error());
  drop(end + 4);
  listener_.on_part(found->name, found->file, at_);
  step_ = Step::content;
  return true;
}

MultipartReader::Outcome MultipartReader::read_content() {
  std::size_t end = window_.find(delimiter_);
  bool whole = end != std::string::npos;
  // What could be the start of a boundary stays until more is known.
  std::size_t known = whole ? end : window_.size() - std::min(window_.size(), delimiter_.size() - 1);
  if (known > 0) listener_.on_content(std::string_view(window_).substr(0, known));
  drop(known);
  if (!whole) return false;
  listener_.on_part_end(at_);
  drop(delimiter_.size());
  step_ = Step::delimiter;
  return true;
}

}  // namespace penstock::wire
