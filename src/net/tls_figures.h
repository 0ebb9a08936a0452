// What became of TLS handshakes, counted for the whole process, and why the others failed. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/tls.h"

namespace penstock::net {

enum class TlsSide { server, client };

// Why a handshake failed: a closed list, for metrics.
enum class TlsFailure {
  none,
  timeout,
  gone,                   // the other side left in the middle of it, or before it began
  plain_http,             // HTTP without TLS
  not_tls,                // bytes that are no TLS
  version,                // nothing both sides speak: protocol version,
  parameters,             // cipher suite, group or signature,
  alpn,                   // or application protocol
  certificate_missing,    // the other side's: it showed none,
  certificate_expired,    // its time is over, or has not come yet,
  certificate_untrusted,  // no known authority signed it,
  certificate_name,       // it is somebody else's,
  certificate_pin,        // its key is not one of the pinned ones,
  certificate_other,      // or it is wrong otherwise
  refused_by_peer,        // the other side said so, mostly about our certificate
  other,
};
constexpr std::size_t kTlsFailures = static_cast<std::size_t>(TlsFailure::other) + 1;

std::string_view name_of(TlsSide side);
std::string_view name_of(TlsFailure failure);

struct TlsProblem {
  TlsFailure failure = TlsFailure::other;
  std::string detail;                  // for people
  bool about_our_certificate = false;  // the other side refused what we showed, or wants us to show one
};
// Takes the library's last error of this thread and what it found out about the certificate.
TlsProblem take_tls_problem(ssl_st* ssl);

void count_handshake(TlsSide side, const TlsFacts& facts);
void count_failure(TlsSide side, TlsFailure failure);

struct TlsHandshakeFigure {
  std::string_view side;
  std::string_view version;
  std::string_view group;  // "other" for what is none of those this program offers
  bool resumed;
  std::uint64_t count;
};
struct TlsFailureFigure {
  std::string_view side;
  std::string_view reason;
  std::uint64_t count;
};
// Those that are not zero.
std::vector<TlsHandshakeFigure> tls_handshakes();
std::vector<TlsFailureFigure> tls_failures();

}  // namespace penstock::net
