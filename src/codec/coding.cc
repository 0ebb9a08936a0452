#include "codec/coding.h"

#include <optional>

namespace penstock::codec {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Cuts the text up to `separator` off the front of `rest`.
std::string_view cut(std::string_view& rest, char separator) {
  std::size_t end = rest.find(separator);
  std::string_view item = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return trim(item);
}

std::optional<Coding> coding_of(std::string_view name) {
  for (Coding coding : {Coding::identity, Coding::gzip, Coding::deflate, Coding::br, Coding::zstd}) {
    if (same(name, name_of(coding))) return coding;
  }
  if (same(name, "x-gzip")) return Coding::gzip;
  return std::nullopt;
}

// qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ), in thousandths; -1 when it is none.
int weight_of(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return -1;
  int weight = (text[0] - '0') * 1000;
  if (text.size() > 1 && text[1] != '.') return -1;
  int unit = 100;
  for (char c : text.substr(std::min<std::size_t>(text.size(), 2))) {
    if (c < '0' || c > '9') return -1;
    weight += (c - '0') * unit;
    unit /= 10;
  }
  return weight <= 1000 ? weight : -1;
}

struct Wish {
  std::string_view name;
  int weight = 1000;
};

// One entry of the list: gzip;q=0.5
std::optional<Wish> parse_wish(std::string_view entry) {
  Wish wish{cut(entry, ';')};
  if (wish.name.empty()) return std::nullopt;
  while (!entry.empty()) {
    std::string_view parameter = cut(entry, ';');
    std::string_view name = cut(parameter, '=');
    if (!same(name, "q")) continue;
    wish.weight = weight_of(parameter);
    if (wish.weight < 0) return std::nullopt;
  }
  return wish;
}

constexpr std::size_t kCodings = 5;

}  // namespace

std::string_view name_of(Coding coding) {
  switch (coding) {
    case Coding::identity: return "identity";
    case Coding::gzip: return "gzip";
    case Coding::deflate: return "deflate";
    case Coding::br: return "br";
    case Coding::zstd: return "zstd";
  }
  return "identity";
}

Result<std::vector<Coding>> parse_content_encoding(std::string_view value) {
  std::vector<Coding> codings;
  while (!value.empty()) {
    std::string_view name = cut(value, ',');
    if (name.empty()) continue;
    auto coding = coding_of(name);
    if (!coding) {
      return fail(Errc::unimplemented,
                  fmt::format("the content-encoding '{}' is not known here; send the body as it is, or in {}",
                              name.substr(0, 40), kAccepted));
    }
    if (*coding == Coding::identity) continue;
    if (codings.size() == kCodingsMax) {
      return fail(Errc::unimplemented,
                  fmt::format("the body is coded more than {} times; code it once, or not at all", kCodingsMax));
    }
    codings.push_back(*coding);
  }
  return codings;
}

Coding negotiate(std::string_view accept_encoding, std::span<const Coding> offered) {
  std::array<int, kCodings> weights;
  weights.fill(-1);  // not mentioned
  int others = -1;
  while (!accept_encoding.empty()) {
    auto wish = parse_wish(cut(accept_encoding, ','));
    if (!wish) continue;
    if (wish->name == "*") {
      others = wish->weight;
    } else if (auto coding = coding_of(wish->name)) {
      weights[static_cast<std::size_t>(*coding)] = wish->weight;
    }
  }
  auto weight = [&](Coding coding) {
    int own = weights[static_cast<std::size_t>(coding)];
    return own >= 0 ? own : others;
  };
  // What is not mentioned is not wanted, but for identity, which is always there as the last resort.
  Coding best = Coding::identity;
  int best_weight = weights[0] >= 0 ? weights[0] : 0;
  for (Coding coding : offered) {
    bool better = best == Coding::identity ? weight(coding) >= best_weight : weight(coding) > best_weight;
    if (weight(coding) <= 0 || !better) continue;
    best = coding;
    best_weight = weight(coding);
  }
  return best;
}

}  // namespace penstock::codec
