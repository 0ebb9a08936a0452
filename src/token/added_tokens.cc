#include "token/added_tokens.h"

#include "token/unicode.h"

namespace penstock::token {
namespace {

bool ends_in_word(std::string_view text) {
  if (text.empty()) return false;
  std::size_t begin = text.size() - 1;
  while (begin > 0 && text.size() - begin < 4 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  const char* at = text.data() + begin;
  return is_word(take_point(at, text.data() + text.size()));
}

bool begins_with_word(std::string_view text) {
  const char* at = text.data();
  return !text.empty() && is_word(take_point(at, at + text.size()));
}

// Where the white space at the end of `text` begins, not before `least`.
std::size_t white_begin(std::string_view text, std::size_t least) {
  std::size_t end = text.size();
  while (end > least) {
    std::size_t begin = end - 1;
    while (begin > least && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
    const char* at = text.data() + begin;
    if (!is_white(take_point(at, text.data() + end))) break;
    end = begin;
  }
  return end;
}

std::size_t white_end(std::string_view text, std::size_t begin) {
  const char *at = text.data() + begin, *end = text.data() + text.size();
  while (at != end) {
    const char* next = at;
    if (!is_white(take_point(next, end))) break;
    at = next;
  }
  return static_cast<std::size_t>(at - text.data());
}

}  // namespace

std::int32_t AddedTokens::step(std::int32_t node, unsigned char byte) const {
  std::int32_t child = nodes_[static_cast<std::size_t>(node)].child;
  while (child >= 0 && nodes_[static_cast<std::size_t>(child)].byte != byte)
    child = nodes_[static_cast<std::size_t>(child)].sibling;
  return child;
}

void AddedTokens::add(AddedToken token) {
  if (token.content.empty()) return;
  auto fresh = [this](char byte, std::int32_t sibling) {
    nodes_.push_back({.byte = static_cast<unsigned char>(byte), .sibling = sibling});
    return static_cast<std::int32_t>(nodes_.size() - 1);
  };
  std::int32_t& root = roots_[static_cast<unsigned char>(token.content.front())];
  if (root == 0) root = fresh(token.content.front(), -1) + 1;
  std::int32_t at = root - 1;
  for (char byte : token.content.substr(1)) {
    std::int32_t child = step(at, static_cast<unsigned char>(byte));
    if (child < 0) {
      child = fresh(byte, nodes_[static_cast<std::size_t>(at)].child);
      nodes_[static_cast<std::size_t>(at)].child = child;
    }
    at = child;
  }
  if (nodes_[static_cast<std::size_t>(at)].token >= 0) return;
  nodes_[static_cast<std::size_t>(at)].token = static_cast<std::int32_t>(tokens_.size());
  tokens_.push_back(std::move(token));
}

const AddedToken* AddedTokens::longest(std::string_view text) const {
  std::int32_t at = roots_[static_cast<unsigned char>(text.front())] - 1;
  const AddedToken* found = nullptr;
  for (std::size_t i = 0; at >= 0;) {
    std::int32_t token = nodes_[static_cast<std::size_t>(at)].token;
    if (token >= 0) found = &tokens_[static_cast<std::size_t>(token)];
    if (++i >= text.size()) break;
    at = step(at, static_cast<unsigned char>(text[i]));
  }
  return found;
}

void AddedTokens::split(std::string_view text, const Take& take) const {
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const AddedToken* token = longest(text.substr(at));
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::size_t begin = at, end = at + token->content.size();
    at = end;
    if (token->single_word && (ends_in_word(text.substr(0, begin)) || begins_with_word(text.substr(end)))) continue;
    if (token->lstrip) begin = white_begin(text.substr(0, begin), done);
    if (token->rstrip) end = white_end(text, end);
    if (done < begin) take(done, begin, nullptr);
    take(begin, end, token);
    done = end;
    at = std::max(at, end);
  }
  if (done < text.size()) take(done, text.size(), nullptr);
}

}  // namespace penstock::token
