// Certificates for tests: files in a folder that goes away with the object.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace penstock::net {

class TestCertificate;

struct CertificateSpec {
  std::string names = {};  // subjectAltName as OpenSSL writes it: "DNS:a.example,URI:spiffe://x/y"; empty: none
  std::string subject = "test";
  bool rsa = false;  // else a key on P-256
  long begins = -3600;
  long ends = 3600;                         // seconds from now
  const TestCertificate* issuer = nullptr;  // null: it is its own authority
};

class TestCertificate {
 public:
  // Its own authority, for the DNS name given.
  explicit TestCertificate(const std::string& name) : TestCertificate(CertificateSpec{.names = "DNS:" + name}) {}
  explicit TestCertificate(const CertificateSpec& spec) {
    std::string folder = "/tmp/penstock-certificate-XXXXXX";
    folder_ = ::mkdtemp(folder.data());
    key_ = spec.rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    made_ = X509_new();
    X509_set_version(made_, X509_VERSION_3);
    static long serial = 0;
    ASN1_INTEGER_set(X509_get_serialNumber(made_), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made_), spec.begins);
    X509_gmtime_adj(X509_getm_notAfter(made_), spec.ends);
    X509_set_pubkey(made_, key_);
    X509_NAME* subject = X509_get_subject_name(made_);
    const auto* text = reinterpret_cast<const unsigned char*>(spec.subject.data());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, text, static_cast<int>(spec.subject.size()), -1, 0);
    X509_set_issuer_name(made_, spec.issuer == nullptr ? subject : X509_get_subject_name(spec.issuer->made_));
    if (!spec.names.empty()) extend(NID_subject_alt_name, spec.names);
    if (spec.issuer == nullptr) extend(NID_basic_constraints, "CA:TRUE");
    X509_sign(made_, spec.issuer == nullptr ? key_ : spec.issuer->key_, EVP_sha256());
    write();
  }
  ~TestCertificate() {
    ::unlink(cert().c_str());
    ::unlink(key().c_str());
    ::rmdir(folder_.c_str());
    X509_free(made_);
    EVP_PKEY_free(key_);
  }
  TestCertificate(const TestCertificate&) = delete;
  TestCertificate& operator=(const TestCertificate&) = delete;
  std::string cert() const { return folder_ + "/cert.pem"; }
  std::string key() const { return folder_ + "/key.pem"; }
  X509* x509() const { return made_; }
  // Puts this one's files where the other's are, as a renewal does.
  void replace(const TestCertificate& other) const {
    std::rename(cert().c_str(), other.cert().c_str());
    std::rename(key().c_str(), other.key().c_str());
  }

 private:
  void extend(int kind, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
    X509_add_ext(made_, extension, -1);
    X509_EXTENSION_free(extension);
  }
  void write() const {
    FILE* file = std::fopen(cert().c_str(), "w");
    PEM_write_X509(file, made_);
    std::fclose(file);
    file = std::fopen(key().c_str(), "w");
    PEM_write_PrivateKey(file, key_, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
  }

  std::string folder_;
  X509* made_ = nullptr;
  EVP_PKEY* key_ = nullptr;
};

}  // namespace penstock::net
