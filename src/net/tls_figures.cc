#include "net/tls_figures.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

namespace penstock::net {
namespace {

constexpr std::array<std::string_view, 2> kSides{"server", "client"};
constexpr std::array<std::string_view, 2> kVersions{"TLSv1.2", "TLSv1.3"};
constexpr std::array<std::string_view, 5> kGroups{"X25519MLKEM768", "x25519", "secp256r1", "secp384r1", "other"};
constexpr std::array<std::string_view, kTlsFailures> kFailures{"none",
                                                               "timeout",
                                                               "gone",
                                                               "plain_http",
                                                               "not_tls",
                                                               "version",
                                                               "parameters",
                                                               "alpn",
                                                               "certificate_missing",
                                                               "certificate_expired",
                                                               "certificate_untrusted",
                                                               "certificate_name",
                                                               "certificate_pin",
                                                               "certificate_other",
                                                               "refused_by_peer",
                                                               "other"};

using Count = std::atomic<std::uint64_t>;
std::array<Count, kSides.size() * kVersions.size() * kGroups.size() * 2> handshakes{};
std::array<Count, kSides.size() * kTlsFailures> failures{};

// The last one for what is not in the list.
template <std::size_t N>
std::size_t place_of(const std::array<std::string_view, N>& list, std::string_view text) {
  auto found = std::find(list.begin(), list.end(), text);
  return found == list.end() ? N - 1 : static_cast<std::size_t>(found - list.begin());
}

TlsFailure failure_of_verify(long result) {
  switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: return TlsFailure::certificate_expired;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED: return TlsFailure::certificate_untrusted;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return TlsFailure::certificate_name;
    case X509_V_ERR_APPLICATION_VERIFICATION: return TlsFailure::certificate_pin;
    default: return TlsFailure::certificate_other;
  }
}

TlsFailure failure_of_reason(int reason) {
  switch (reason) {
    case SSL_R_HTTP_REQUEST: return TlsFailure::plain_http;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_BAD_PACKET:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
    case SSL_R_LENGTH_MISMATCH:
    case SSL_R_LENGTH_TOO_SHORT: return TlsFailure::not_tls;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_SSL_VERSION: return TlsFailure::version;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_UNSUPPORTED_ELLIPTIC_CURVE:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE: return TlsFailure::parameters;
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: return TlsFailure::alpn;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return TlsFailure::certificate_missing;
    default: return reason > SSL_AD_REASON_OFFSET ? TlsFailure::refused_by_peer : TlsFailure::other;
  }
}

bool about_our_certificate(int reason) {
  switch (reason) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED: return true;
    default: return false;
  }
}

std::string detail_of(TlsFailure failure, const char* why) {
  switch (failure) {
    case TlsFailure::plain_http: return "plain HTTP came where TLS is spoken";
    case TlsFailure::not_tls: return fmt::format("what came is no TLS: {}", why);
    case TlsFailure::certificate_missing: return "no client certificate was shown, and one is required";
    case TlsFailure::alpn: return "the two sides have no application protocol (ALPN) in common";
    case TlsFailure::refused_by_peer: return fmt::format("TLS failed, says the other side: {}", why);
    default: return fmt::format("TLS failed: {}", why);
  }
}

}  // namespace

std::string_view name_of(TlsSide side) { return kSides[static_cast<std::size_t>(side)]; }
std::string_view name_of(TlsFailure failure) { return kFailures[static_cast<std::size_t>(failure)]; }

TlsProblem take_tls_problem(ssl_st* ssl) {
  unsigned long code = ERR_get_error();
  ERR_clear_error();
  int reason = ERR_GET_REASON(code);
  if (long verify = SSL_get_verify_result(ssl); verify != X509_V_OK && reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    TlsFailure failure = failure_of_verify(verify);
    const char* why = failure == TlsFailure::certificate_pin ? "its public key is not one of the pinned ones"
                                                             : X509_verify_cert_error_string(verify);
    return {failure, fmt::format("the certificate was not accepted: {}", why)};
  }
  const char* why = ERR_reason_error_string(code);
  // A server names in its alert what is missing; a client's alerts are all about the server.
  bool alert_of_client = SSL_is_server(ssl) == 1 && reason > SSL_AD_REASON_OFFSET;
  TlsFailure failure = alert_of_client ? TlsFailure::refused_by_peer : failure_of_reason(reason);
  if (about_our_certificate(reason))
    return {failure, fmt::format("the other side does not accept our certificate, or the lack of one: {}", why), true};
  return {failure, detail_of(failure, why == nullptr ? "unknown reason" : why)};
}

void count_handshake(TlsSide side, const TlsFacts& facts) {
  std::size_t place = static_cast<std::size_t>(side) * kVersions.size() + place_of(kVersions, facts.version);
  place = (place * kGroups.size() + place_of(kGroups, facts.group)) * 2 + (facts.resumed ? 1 : 0);
  handshakes[place].fetch_add(1, std::memory_order_relaxed);
}

void count_failure(TlsSide side, TlsFailure failure) {
  std::size_t place = static_cast<std::size_t>(side) * kTlsFailures + static_cast<std::size_t>(failure);
  failures[place].fetch_add(1, std::memory_order_relaxed);
}

std::vector<TlsHandshakeFigure> tls_handshakes() {
  std::vector<TlsHandshakeFigure> figures;
  for (std::size_t i = 0; i < handshakes.size(); ++i) {
    std::uint64_t count = handshakes[i].load(std::memory_order_relaxed);
    std::size_t group = i / 2 % kGroups.size();
    std::size_t version = i / 2 / kGroups.size() % kVersions.size();
    std::size_t side = i / 2 / kGroups.size() / kVersions.size();
    if (count > 0) figures.push_back({kSides[side], kVersions[version], kGroups[group], i % 2 == 1, count});
  }
  return figures;
}

std::vector<TlsFailureFigure> tls_failures() {
  std::vector<TlsFailureFigure> figures;
  for (std::size_t i = 0; i < failures.size(); ++i) {
    std::uint64_t count = failures[i].load(std::memory_order_relaxed);
    if (count > 0) figures.push_back({kSides[i / kTlsFailures], kFailures[i % kTlsFailures], count});
  }
  return figures;
}

}  // namespace penstock::net
