#include "wire/multipart.h"

#include "wire/http1.h"

namespace penstock::wire {
namespace {

std::unexpected<std::string> defect(std::string_view what) { return std::unexpected(std::string(what)); }

void skip_blanks(std::string_view& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
}

// One parameter of a field value, from behind its semicolon: name=token or name="quoted". False at a syntax error.
bool take_parameter(std::string_view& rest, std::string_view& name, std::string& value) {
  skip_blanks(rest);
  std::size_t equals = rest.find('=');
  if (equals == std::string_view::npos) return false;
  name = rest.substr(0, equals);
  while (name.ends_with(' ')) name.remove_suffix(1);
  rest.remove_prefix(equals + 1);
  skip_blanks(rest);
  value.clear();
  if (!rest.starts_with('"')) {
    std::size_t end = std::min(rest.find(';'), rest.size());
    value = rest.substr(0, end);
    while (value.ends_with(' ') || value.ends_with('\t')) value.pop_back();
    rest.remove_prefix(end);
  } else {
    std::size_t at = 1;
    while (at < rest.size() && rest[at] != '"') {
      // Browsers escape quotes as %22; a backslash before anything but a quote is part of a Windows path.
      if (rest[at] == '\\' && at + 1 < rest.size() && (rest[at + 1] == '"' || rest[at + 1] == '\\')) ++at;
      value += rest[at++];
    }
    if (at >= rest.size()) return false;
    rest.remove_prefix(at + 1);
    skip_blanks(rest);
  }
  if (!rest.empty() && rest.front() != ';') return false;
  if (!rest.empty()) rest.remove_prefix(1);
  return true;
}

struct Disposition {
  std::string name;
  std::string file;
  int names = 0;
};

// The value of Content-Disposition: form-data; name="..."; filename="..."
bool read_disposition(std::string_view value, Disposition& found) {
  std::size_t end = value.find(';');
  if (!equal_ignoring_case(value.substr(0, end), "form-data") || end == std::string_view::npos) return false;
  value.remove_prefix(end + 1);
  std::string_view name;
  std::string text;
  while (skip_blanks(value), !value.empty()) {
    if (!take_parameter(value, name, text)) return false;
    if (equal_ignoring_case(name, "name")) {
      found.name = text;
      ++found.names;
    } else if (equal_ignoring_case(name, "filename")) {
      found.file = text;
    }
  }
  return true;
}

// The fields of a part, line by line, without the empty line at their end.
std::expected<Disposition, std::string> read_part_fields(std::string_view head) {
  Disposition found;
  while (!head.empty()) {
    std::size_t end = std::min(head.find("\r\n"), head.size());
    std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0 || line.front() == ' ' || line.front() == '\t' ||
        line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
      return defect("the head of a part is malformed");
    }
    std::string_view value = line.substr(colon + 1);
    skip_blanks(value);
    if (equal_ignoring_case(line.substr(0, colon), "content-disposition") && !read_disposition(value, found))
      return defect("the content-disposition of a part is malformed");
  }
  if (found.names != 1) return defect("a part does not name its field, or names two");
  return found;
}

}  // namespace

std::string form_boundary(std::string_view content_type) {
  std::size_t end = content_type.find(';');
  std::string_view type = content_type.substr(0, end);
  while (type.ends_with(' ')) type.remove_suffix(1);
  if (end == std::string_view::npos || !equal_ignoring_case(type, "multipart/form-data")) return {};
  std::string_view rest = content_type.substr(end + 1);
  std::string_view name;
  std::string value;
  while (skip_blanks(rest), !rest.empty()) {
    if (!take_parameter(rest, name, value)) return {};
    // RFC 2046: 1 to 70 characters. Some clients make longer ones.
    if (equal_ignoring_case(name, "boundary")) return value.size() <= 200 ? value : std::string();
  }
  return {};
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
    case Step::epilogue: drop(window_.size()); return false;
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
    step_ = Step::epilogue;
    return true;
  }
  if (!window_.starts_with("\r\n")) return defect("something follows a boundary on its line");
  if (++parts_ > kPartsMax) return defect("it has more than 1024 parts");
  drop(2);
  step_ = Step::part_head;
  return true;
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
