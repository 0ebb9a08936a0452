#include "device/authority.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>

#include "base/whole_file.h"
#include "device/credential.h"

namespace penstock::device {
namespace {

constexpr int kDaysMax = 3650;
constexpr std::size_t kRequestBytesMax = 16 * 1024;
constexpr base::WallMicros kMicrosPerSecond = 1'000'000;
constexpr base::WallMicros kDay = 86'400 * kMicrosPerSecond;
// Clocks of devices are not exact.
constexpr base::WallMicros kBegun = 300 * kMicrosPerSecond;

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Bio = std::unique_ptr<BIO, FreeWith<BIO_free>>;
using Cert = std::unique_ptr<X509, FreeWith<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using Request = std::unique_ptr<X509_REQ, FreeWith<X509_REQ_free>>;
using List = std::unique_ptr<X509_CRL, FreeWith<X509_CRL_free>>;
using Number = std::unique_ptr<BIGNUM, FreeWith<BN_free>>;
using Integer = std::unique_ptr<ASN1_INTEGER, FreeWith<ASN1_INTEGER_free>>;
using Time = std::unique_ptr<ASN1_TIME, FreeWith<ASN1_TIME_free>>;

std::unexpected<Error> library(std::string_view what) {
  unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* why = ERR_reason_error_string(code);
  return fail(Errc::internal, fmt::format("{}: {}", what, why == nullptr ? "unknown reason" : why));
}

Bio memory(std::string_view text = {}) {
  return Bio(text.empty() ? BIO_new(BIO_s_mem()) : BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string text_of(const Bio& bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string pem_of(X509* cert) {
  Bio bio = memory();
  PEM_write_bio_X509(bio.get(), cert);
  return text_of(bio);
}

base::Secret pem_of(EVP_PKEY* key) {
  Bio bio = memory();
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return base::Secret(text_of(bio));
}

Key make_key() { return Key(EVP_EC_gen("P-256")); }

Time time_of(base::WallMicros at) { return Time(ASN1_TIME_set(nullptr, at / kMicrosPerSecond)); }

base::WallMicros micros_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return static_cast<base::WallMicros>(::timegm(&parts)) * kMicrosPerSecond;
}

// To a certificate, or to a list.
template <class Holder>
bool add_extension(Holder* holder, X509* issuer, int what, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509_EXTENSION* extension = nullptr;
  bool added = false;
  if constexpr (std::is_same_v<Holder, X509>) {
    X509V3_set_ctx(&context, issuer, holder, nullptr, nullptr, 0);
    extension = X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str());
    added = extension != nullptr && X509_add_ext(holder, extension, -1) == 1;
  } else {
    X509V3_set_ctx(&context, issuer, nullptr, nullptr, holder, 0);
    extension = X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str());
    added = extension != nullptr && X509_CRL_add_ext(holder, extension, -1) == 1;
  }
  X509_EXTENSION_free(extension);
  return added;
}

// 159 random bits: positive, and of 20 octets at most (RFC 5280 section 4.1.2.2).
Integer make_serial() {
  std::array<unsigned char, 20> random{};
  RAND_bytes(random.data(), random.size());
  random[0] = static_cast<unsigned char>((random[0] & 0x7F) | 0x40);
  Number number(BN_bin2bn(random.data(), random.size(), nullptr));
  return Integer(BN_to_ASN1_INTEGER(number.get(), nullptr));
}

std::string hex_of(const ASN1_INTEGER* serial) {
  Number number(ASN1_INTEGER_to_BN(serial, nullptr));
  char* hex = BN_bn2hex(number.get());
  std::string text(hex);
  OPENSSL_free(hex);
  return text;
}

std::string fingerprint_of(X509* cert) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  X509_digest(cert, EVP_sha256(), digest.data(), &length);
  return fmt::format("{:02x}", fmt::join(digest.begin(), digest.begin() + length, ""));
}

bool add_to_name(X509_NAME* name, int what, const std::string& text) {
  return X509_NAME_add_entry_by_NID(name, what, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()), -1, 0) == 1;
}

// What both kinds of certificate have.
Cert begin(EVP_PKEY* key, const std::string& name, base::WallMicros from, base::WallMicros until) {
  Cert cert(X509_new());
  X509_set_version(cert.get(), X509_VERSION_3);
  X509_set_serialNumber(cert.get(), make_serial().get());
  X509_set1_notBefore(cert.get(), time_of(from).get());
  X509_set1_notAfter(cert.get(), time_of(until).get());
  X509_set_pubkey(cert.get(), key);
  if (!add_to_name(X509_get_subject_name(cert.get()), NID_commonName, name)) return nullptr;
  return cert;
}

Result<void> check_days(int days) {
  if (days >= 1 && days <= kDaysMax) return {};
  return fail(Errc::invalid_argument, fmt::format("a certificate is good for 1 to {} days", kDaysMax));
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.good() && !file.eof())
    return fail(Errc::permission_denied, fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  return text;
}

// Certificates of `pem` that have not ended.
std::string still_trusted(const std::string& pem, base::WallMicros now) {
  std::string text;
  Bio bio = memory(pem);
  while (!pem.empty()) {
    Cert cert(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!cert) break;
    if (micros_of(X509_get0_notAfter(cert.get())) > now) text += pem_of(cert.get());
  }
  ERR_clear_error();
  return text;
}

std::set<std::string> serials_of(X509_CRL* list) {
  std::set<std::string> serials;
  STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(list);
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i)
    serials.insert(hex_of(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i))));
  return serials;
}

// The lists in `pem` but the one that `key` signed, as long as they are good, and what goes before the next one of this
// key: OpenSSL takes the latest of several.
struct FormerLists {
  std::string text;
  base::WallMicros last = 0;
  std::optional<std::set<std::string>> revoked = {};  // by the last one of this key; none: there is none
  bool ended = false;                                 // one of the others is not good any more
};
FormerLists former_lists(const std::string& pem, EVP_PKEY* key, base::WallMicros now) {
  FormerLists former;
  Bio bio = memory(pem);
  while (!pem.empty()) {
    List list(PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr));
    if (!list) break;
    if (X509_CRL_verify(list.get(), key) == 1) {
      former.last = std::max(former.last, micros_of(X509_CRL_get0_lastUpdate(list.get())));
      former.revoked = serials_of(list.get());
      continue;
    }
    if (micros_of(X509_CRL_get0_nextUpdate(list.get())) <= now) {
      former.ended = true;
      continue;
    }
    Bio kept = memory();
    PEM_write_bio_X509_CRL(kept.get(), list.get());
    former.text += text_of(kept);
  }
  ERR_clear_error();
  return former;
}

}  // namespace

bool Authority::exists(const std::string& folder) { return ::access((folder + "/ca.key").c_str(), F_OK) == 0; }

Result<Authority> Authority::make(const std::string& folder, const std::string& name, int days, base::WallMicros now,
                                  bool replace) {
  if (auto fine = check_days(days); !fine) return std::unexpected(fine.error());
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return fail(Errc::permission_denied, fmt::format("cannot make '{}': {}", folder, std::strerror(errno)));
  if (exists(folder) && !replace) {
    return fail(
        Errc::already_exists,
        fmt::format("there is an authority in '{}' already; `penstock device ca rotate` makes another one", folder));
  }
  Key key = make_key();
  if (!key) return library("cannot make a key");
  Cert cert = begin(key.get(), name, now - kBegun, now + days * kDay);
  if (!cert) return fail(Errc::invalid_argument, "the name of an authority has 1 to 64 characters");
  X509_set_issuer_name(cert.get(), X509_get_subject_name(cert.get()));
  bool made = add_extension(cert.get(), cert.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
              add_extension(cert.get(), cert.get(), NID_key_usage, "critical,keyCertSign,cRLSign") &&
              add_extension(cert.get(), cert.get(), NID_subject_key_identifier, "hash") &&
              X509_sign(cert.get(), key.get(), EVP_sha256()) > 0;
  if (!made) return library("cannot make a certificate");
  std::string pem = pem_of(cert.get());
  auto former = replace ? read_file(folder + "/trust.pem") : Result<std::string>("");
  // Trusted before it signs anything.
  auto written = base::write_whole(folder + "/trust.pem", pem + still_trusted(former.value_or(""), now), 0644, true);
  base::Secret both(std::string(pem_of(key.get()).reveal()) + pem);
  if (written) written = base::write_whole(folder + "/ca.key", both.reveal(), 0600, replace);
  if (written) written = base::write_whole(folder + "/ca.pem", pem, 0644, true);
  if (!written) return std::unexpected(written.error());
  Authority authority(folder, std::shared_ptr<X509>(std::move(cert)), std::shared_ptr<EVP_PKEY>(std::move(key)),
                      std::move(pem));
  if (auto listed = authority.write_revoked({}, now); !listed) return std::unexpected(listed.error());
  return authority;
}

Result<Authority> Authority::open(const std::string& folder) {
  if (!exists(folder)) {
    return fail(Errc::failed_precondition,
                fmt::format("there is no certificate authority in '{}'; `penstock device ca init` makes one", folder));
  }
  auto text = read_file(folder + "/ca.key");
  if (!text) return std::unexpected(text.error());
  base::Secret secret(std::move(*text));
  Bio first = memory(secret.reveal());
  Key key(PEM_read_bio_PrivateKey(first.get(), nullptr, nullptr, nullptr));
  Bio second = memory(secret.reveal());
  Cert cert(PEM_read_bio_X509(second.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (!key || !cert || X509_check_private_key(cert.get(), key.get()) != 1) {
    ERR_clear_error();
    return fail(Errc::data_loss, fmt::format("'{}/ca.key' is damaged: put it back from a backup, or make another "
                                             "authority (`penstock device ca rotate`)",
                                             folder));
  }
  std::string pem = pem_of(cert.get());
  return Authority(folder, std::shared_ptr<X509>(std::move(cert)), std::shared_ptr<EVP_PKEY>(std::move(key)),
                   std::move(pem));
}

base::WallMicros Authority::expires() const { return micros_of(X509_get0_notAfter(cert_.get())); }

Result<Authority::Issued> Authority::issue(const std::string& device, int days, base::WallMicros now) const {
  Key key = make_key();
  if (!key) return library("cannot make a key");
  auto issued = certify(device, key.get(), days, now);
  if (issued) issued->key = pem_of(key.get());
  return issued;
}

Result<Authority::Issued> Authority::sign(const std::string& device, std::string_view request, int days,
                                          base::WallMicros now) const {
  auto refused = [](std::string_view why) {
    ERR_clear_error();
    return fail(Errc::invalid_argument, fmt::format("the certificate signing request cannot be used: {}", why));
  };
  if (request.empty() || request.size() > kRequestBytesMax) return refused("it is empty or longer than 16 KiB");
  Bio bio = memory(request);
  Request read(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (!read) return refused("it is no PKCS #10 request in PEM form (`openssl req -new`)");
  EVP_PKEY* key = X509_REQ_get0_pubkey(read.get());
  if (key == nullptr || X509_REQ_verify(read.get(), key) != 1) return refused("its signature does not fit its key");
  int kind = EVP_PKEY_get_base_id(key);
  int bits = EVP_PKEY_get_bits(key);
  bool strong = (kind == EVP_PKEY_RSA && bits >= 2048 && bits <= 8192) || (kind == EVP_PKEY_EC && bits >= 256) ||
                kind == EVP_PKEY_ED25519;
  if (!strong) return refused("its key is none of RSA with 2048 to 8192 bits, EC with at least 256, or Ed25519");
  return certify(device, key, days, now);
}

Result<Authority::Issued> Authority::certify(const std::string& device, EVP_PKEY* key, int days,
                                             base::WallMicros now) const {
  if (auto fine = check_days(days); !fine) return std::unexpected(fine.error());
  base::WallMicros until = std::min(now + days * kDay, expires());
  if (until <= now) {
    return fail(Errc::failed_precondition,
                "the certificate authority's own time is over; `penstock device ca rotate` makes another one");
  }
  Cert cert = begin(key, device, now - kBegun, until);
  if (!cert) return library("cannot make a certificate");
  X509_set_issuer_name(cert.get(), X509_get_subject_name(cert_.get()));
  Issued issued;
  issued.serial = hex_of(X509_get0_serialNumber(cert.get()));
  std::string identity = "URI:" + identity_of(device, issued.serial);
  bool made = add_to_name(X509_get_subject_name(cert.get()), NID_serialNumber, issued.serial) &&
              add_extension(cert.get(), cert_.get(), NID_basic_constraints, "critical,CA:FALSE") &&
              add_extension(cert.get(), cert_.get(), NID_key_usage, "critical,digitalSignature") &&
              add_extension(cert.get(), cert_.get(), NID_ext_key_usage, "clientAuth") &&
              add_extension(cert.get(), cert_.get(), NID_subject_key_identifier, "hash") &&
              add_extension(cert.get(), cert_.get(), NID_authority_key_identifier, "keyid:always") &&
              add_extension(cert.get(), cert_.get(), NID_subject_alt_name, identity) &&
              X509_sign(cert.get(), key_.get(), EVP_sha256()) > 0;
  if (!made) return library("cannot make a certificate");
  issued.fingerprint = fingerprint_of(cert.get());
  issued.certificate = pem_of(cert.get());
  issued.expires = micros_of(X509_get0_notAfter(cert.get()));
  return issued;
}

Result<void> Authority::write_revoked(const std::vector<std::pair<std::string, base::WallMicros>>& revoked,
                                      base::WallMicros now) const {
  std::string path = folder_ + "/ca.crl";
  FormerLists former = former_lists(read_file(path).value_or(""), key_.get(), now);
  std::set<std::string> serials;
  for (const auto& [serial, at] : revoked) serials.insert(serial);
  if (former.revoked == serials && former.last <= now && !former.ended) return {};
  List list(X509_CRL_new());
  X509_CRL_set_version(list.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(cert_.get()));
  // Later than the one before, but not later than now: a list that is not good yet locks every certificate out.
  const base::WallMicros from = std::min(now, std::max(now - kBegun, former.last + kMicrosPerSecond));
  X509_CRL_set1_lastUpdate(list.get(), time_of(from).get());
  X509_CRL_set1_nextUpdate(list.get(), X509_get0_notAfter(cert_.get()));
  for (const auto& [serial, at] : revoked) {
    BIGNUM* parsed = nullptr;
    if (BN_hex2bn(&parsed, serial.c_str()) == 0) continue;
    Number number(parsed);
    Integer integer(BN_to_ASN1_INTEGER(number.get(), nullptr));
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, integer.get());
    X509_REVOKED_set_revocationDate(entry, time_of(at).get());
    X509_CRL_add0_revoked(list.get(), entry);
  }
  // Later lists have larger numbers (RFC 5280 section 5.2.3).
  Integer number(ASN1_INTEGER_new());
  ASN1_INTEGER_set_int64(number.get(), now / 1000);
  X509_CRL_add1_ext_i2d(list.get(), NID_crl_number, number.get(), 0, 0);
  // By which the list of one of two authorities of the same name is found.
  if (!add_extension(list.get(), cert_.get(), NID_authority_key_identifier, "keyid:always"))
    return library("cannot make the list");
  X509_CRL_sort(list.get());
  if (X509_CRL_sign(list.get(), key_.get(), EVP_sha256()) <= 0) return library("cannot sign the list");
  Bio bio = memory();
  PEM_write_bio_X509_CRL(bio.get(), list.get());
  return base::write_whole(path, text_of(bio) + former.text, 0644, true);
}

}  // namespace penstock::device
