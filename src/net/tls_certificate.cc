#include "net/tls_certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace penstock::net {
namespace {

constexpr std::string_view kPinPrefix = "sha256/";
constexpr std::size_t kPinBytes = 32;
constexpr std::size_t kPinTextBytes = 44;  // of 32 bytes in base64

using BioPointer = std::unique_ptr<BIO, FreeWith<BIO_free>>;

std::unexpected<Error> cannot_use(std::string_view what, const std::string& file, const std::string& why) {
  return fail(Errc::invalid_argument, fmt::format("cannot use {} '{}': {}", what, file, why));
}

// A service has nobody to ask: without this OpenSSL would wait at the terminal. `asked` may be null.
int no_password(char*, int, int, void* asked) {
  if (asked != nullptr) *static_cast<bool*>(asked) = true;
  return -1;
}

Result<BioPointer> open_file(std::string_view what, const std::string& file) {
  errno = 0;
  BioPointer bio(BIO_new_file(file.c_str(), "r"));
  if (bio) return bio;
  int why = errno;
  ERR_clear_error();
  return cannot_use(what, file, why == 0 ? "it cannot be read" : std::strerror(why));
}

Result<void> read_certificates(Certificate& into, const std::string& file) {
  auto bio = open_file("certificate", file);
  if (!bio) return std::unexpected(bio.error());
  into.cert.reset(PEM_read_bio_X509_AUX(bio->get(), nullptr, no_password, nullptr));
  if (!into.cert) return cannot_use("certificate", file, "no certificate in PEM form is in it: " + tls_reason());
  into.chain.reset(sk_X509_new_null());
  while (X509* next = PEM_read_bio_X509(bio->get(), nullptr, no_password, nullptr))
    sk_X509_push(into.chain.get(), next);
  bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  std::string why = tls_reason();
  if (!ended) return cannot_use("certificate", file, "its chain is damaged: " + why);
  return {};
}

Result<void> read_key(Certificate& into, const std::string& file) {
  auto bio = open_file("private key", file);
  if (!bio) return std::unexpected(bio.error());
  bool asked = false;
  into.key.reset(PEM_read_bio_PrivateKey(bio->get(), nullptr, no_password, &asked));
  if (into.key) return {};
  std::string why = tls_reason();
  if (asked) why = "it has a password; write it without one, readable only by this service";
  return cannot_use("private key", file, why);
}

std::string_view view_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

// What may stand in a log and be compared byte by byte.
bool printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

// Calls visit(kind, text) for each of the certificate's alternative names that is text.
template <class Visit>
void visit_names(X509* cert, Visit visit) {
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    int kind = 0;
    void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &kind);
    if (kind == GEN_URI || kind == GEN_DNS || kind == GEN_EMAIL) visit(kind, view_of(static_cast<ASN1_STRING*>(value)));
  }
  GENERAL_NAMES_free(names);
}

std::string common_name(X509* cert) {
  const X509_NAME* subject = X509_get_subject_name(cert);
  int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  unsigned char* utf8 = nullptr;
  int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return {};
  std::string name(reinterpret_cast<char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return name;
}

}  // namespace

std::string tls_reason() {
  unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* why = ERR_reason_error_string(code);
  if (ERR_SYSTEM_ERROR(code)) why = std::strerror(ERR_GET_REASON(code));
  return why == nullptr ? "unknown reason" : why;
}

Result<Certificate> load_certificate(const TlsKeyPair& files) {
  Certificate made;
  if (auto read = read_certificates(made, files.cert_file); !read) return std::unexpected(read.error());
  if (auto read = read_key(made, files.key_file); !read) return std::unexpected(read.error());
  if (X509_check_private_key(made.cert.get(), made.key.get()) != 1) {
    ERR_clear_error();
    return cannot_use("private key", files.key_file,
                      fmt::format("it is not the key of the certificate '{}'", files.cert_file));
  }
  made.key_kind = EVP_PKEY_get_base_id(made.key.get());
  visit_names(made.cert.get(), [&](int kind, std::string_view text) {
    if (kind == GEN_DNS && printable(text)) made.names.push_back(lower(text));
  });
  return made;
}

std::string identity_of(X509* cert) {
  std::string uri;
  std::string dns;
  std::string email;
  visit_names(cert, [&](int kind, std::string_view text) {
    std::string& first = kind == GEN_URI ? uri : kind == GEN_DNS ? dns : email;
    if (first.empty()) first = text;
  });
  std::string name = !uri.empty() ? uri : !dns.empty() ? dns : !email.empty() ? email : common_name(cert);
  // A common name may have spaces and letters beyond ASCII; no name has control characters.
  bool clean =
      std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '\x7f'; });
  return clean ? name : std::string();
}

std::string pin_of(X509* cert) {
  unsigned char* der = nullptr;
  int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
  if (size <= 0) return {};
  std::array<unsigned char, kPinBytes> digest{};
  std::array<unsigned char, kPinTextBytes + 1> text{};
  EVP_Digest(der, static_cast<std::size_t>(size), digest.data(), nullptr, EVP_sha256(), nullptr);
  EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(digest.size()));
  OPENSSL_free(der);
  return fmt::format("{}{}", kPinPrefix, reinterpret_cast<char*>(text.data()));
}

bool is_pin(std::string_view text) {
  if (!text.starts_with(kPinPrefix)) return false;
  text.remove_prefix(kPinPrefix.size());
  if (text.size() != kPinTextBytes || !text.ends_with('=') || text.ends_with("==")) return false;
  std::array<unsigned char, 3 * kPinTextBytes / 4> bytes{};
  return EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(text.data()),
                         static_cast<int>(text.size())) == static_cast<int>(bytes.size());
}

}  // namespace penstock::net
