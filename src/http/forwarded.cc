#include "http/forwarded.h"

#include <charconv>

namespace penstock::http {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Whether a part may be a quoted string, in which separators are text (RFC 7239). The older fields know no quotes, and
// what a client puts there must not hide what its proxy appended.
enum class Quotes { none, parts };

// The part behind the last `mark` outside of quotes, which is taken off `rest`.
std::string_view take_last(std::string_view& rest, char mark, Quotes quotes) {
  std::size_t begin = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (quoted && rest[i] == '\\') {
      ++i;
    } else if (quotes == Quotes::parts && rest[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && rest[i] == mark) {
      begin = i + 1;
    }
  }
  std::string_view last = rest.substr(begin);
  rest = rest.substr(0, begin == 0 ? 0 : begin - 1);
  return trim(last);
}

// A quote left open would swallow what proxies append.
bool quotes_balanced(std::string_view text) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    }
  }
  return !quoted;
}

// Hops looked at: more proxies than anybody has in a row, and a bound on the work a client's fields can make.
constexpr int kHopsMax = 32;

// Calls `take` with each element of all fields of that name, the last one first, until it says false.
template <class Take>
void each_from_last(const Fields& fields, std::string_view name, Quotes quotes, Take take) {
  int hops = 0;
  for (std::size_t i = fields.size(); i-- > 0;) {
    Fields::Field field = fields.at(i);
    if (!wire::equal_ignoring_case(field.name, name)) continue;
    std::string_view rest = field.value;
    if (quotes == Quotes::parts && !quotes_balanced(rest)) return;
    do {
      if (++hops > kHopsMax || !take(take_last(rest, ',', quotes))) return;
    } while (!rest.empty());
  }
}

std::string_view last_element(const Fields& fields, std::string_view name) {
  std::string_view found;
  each_from_last(fields, name, Quotes::none, [&](std::string_view element) {
    found = element;
    return false;
  });
  return found;
}

// 192.0.2.7, 192.0.2.7:4711, 2001:db8::1, [2001:db8::1]:4711. Nothing for "unknown" and hidden names.
std::optional<net::Endpoint> read_node(std::string_view text) {
  bool bare6 = !text.starts_with('[') && std::count(text.begin(), text.end(), ':') > 1;
  bool has_port = !bare6 && (text.starts_with('[') ? text.find("]:") : text.find(':')) != std::string_view::npos;
  net::HostPort parts;
  if (has_port) {
    auto parsed = net::parse_host_port(text);
    if (!parsed) return std::nullopt;
    parts = std::move(*parsed);
  } else {
    parts.host = text.starts_with('[') && text.ends_with(']') ? text.substr(1, text.size() - 2) : text;
  }
  if (parts.host == "localhost") return std::nullopt;
  auto endpoint = net::parse_endpoint(parts);
  return endpoint ? std::optional(*endpoint) : std::nullopt;
}

std::string_view unquoted(std::string_view value) {
  return value.size() >= 2 && value.front() == '"' && value.back() == '"' ? value.substr(1, value.size() - 2) : value;
}

struct Element {
  std::string_view node;
  std::string_view proto;
  std::string_view host;
};

// for=192.0.2.60;proto=https;host=example.com
Element read_element(std::string_view text) {
  Element element;
  while (!text.empty()) {
    std::string_view pair = take_last(text, ';', Quotes::parts);
    std::size_t equals = std::min(pair.find('='), pair.size());
    std::string_view name = pair.substr(0, equals);
    std::string_view value = unquoted(pair.substr(std::min(equals + 1, pair.size())));
    if (wire::equal_ignoring_case(name, "for")) element.node = value;
    if (wire::equal_ignoring_case(name, "proto")) element.proto = value;
    if (wire::equal_ignoring_case(name, "host")) element.host = value;
  }
  return element;
}

void describe(Client& client, std::string_view proto, std::string_view host) {
  if (wire::equal_ignoring_case(proto, "https")) client.secure = true;
  if (wire::equal_ignoring_case(proto, "http")) client.secure = false;
  if (!host.empty()) client.host = host;
}

// One hop nearer to the client; false when there is no going on.
bool step_to(Client& client, std::string_view node, const Peer& peer) {
  auto endpoint = read_node(node);
  if (!endpoint) return false;
  client.endpoint = *endpoint;
  return net::contains(*peer.trusted_proxies, *endpoint);
}

Client read_standard(const Fields& fields, const Peer& peer, Client client) {
  each_from_last(fields, "forwarded", Quotes::parts, [&](std::string_view text) {
    Element element = read_element(text);
    bool further = step_to(client, element.node, peer);
    describe(client, element.proto, element.host);
    return further;
  });
  return client;
}

Client read_customary(const Fields& fields, const Peer& peer, Client client) {
  each_from_last(fields, "x-forwarded-for", Quotes::none,
                 [&](std::string_view node) { return step_to(client, node, peer); });
  describe(client, last_element(fields, "x-forwarded-proto"), last_element(fields, "x-forwarded-host"));
  return client;
}

}  // namespace

Client read_forwarded(const Request& request, const Peer& peer) {
  Client itself{peer.endpoint, !peer.tls.version.empty(), request.field(wire::FieldId::host)};
  const Fields& fields = *request.fields;
  bool standard = fields.has(wire::FieldId::forwarded);
  bool customary = fields.has(wire::FieldId::x_forwarded_for);
  if (standard && customary) {
    Client one = read_standard(fields, peer, itself);
    Client other = read_customary(fields, peer, itself);
    return one.endpoint.address() == other.endpoint.address() ? one : itself;
  }
  return standard ? read_standard(fields, peer, itself) : read_customary(fields, peer, itself);
}

}  // namespace penstock::http
