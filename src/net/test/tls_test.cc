#include "net/tls.h"

#include <gmock/gmock.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <fstream>

#include "net/stream.h"
#include "net/test/certificate.h"
#include "net/tls_certificate.h"
#include "net/tls_tickets.h"

namespace penstock::net {
namespace {

using namespace std::chrono_literals;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;

// How a handshake ended, as seen from both sides.
struct Outcome {
  Result<void> server = fail(Errc::internal, "not run");
  Result<void> client = fail(Errc::internal, "not run");
  TlsFacts server_facts;
  TlsFacts client_facts;
  TlsFailure server_failure = TlsFailure::none;
  TlsFailure client_failure = TlsFailure::none;
  std::string served;                   // the pin of the certificate the client saw
  Result<std::size_t> client_read = 0;  // what it read after the handshake: one byte, or why not
};

rt::Task<void> serve(Stream& stream, std::shared_ptr<TlsContext> context, Outcome& outcome) {
  outcome.server = co_await stream.start_tls_server(std::move(context));
  outcome.server_facts = stream.tls_facts();
  outcome.server_failure = stream.tls_failure();
  std::string byte = "!";
  if (outcome.server) co_await stream.write(byte);
  stream.shutdown_write();
}

rt::Task<void> connect(Stream& stream, std::shared_ptr<TlsContext> context, std::string host, TlsSession* session,
                       Outcome& outcome) {
  outcome.client = co_await stream.start_tls_client(std::move(context), std::move(host), session);
  outcome.client_facts = stream.tls_facts();
  outcome.client_failure = stream.tls_failure();
  std::array<char, 8> buffer{};
  if (outcome.client) outcome.client_read = co_await stream.read(buffer);
  stream.close();
}

struct TlsTest : testing::Test {
  rt::Loop loop;
  TestCertificate authority{CertificateSpec{.subject = "authority"}};
  TlsTicketKeys ticket_keys;

  TestCertificate leaf(std::string names, bool rsa = false, long ends = 3600) {
    return TestCertificate(CertificateSpec{.names = std::move(names), .rsa = rsa, .ends = ends, .issuer = &authority});
  }
  std::shared_ptr<TlsContext> server(const TlsServerOptions& options) {
    auto made = TlsContext::server(options, ticket_keys);
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().detail);
    return made.value_or(nullptr);
  }
  std::shared_ptr<TlsContext> client(TlsClientOptions options = {}) {
    if (options.ca_file.empty()) options.ca_file = authority.cert();
    auto made = TlsContext::client(options);
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().detail);
    return made.value_or(nullptr);
  }
  Outcome shake(std::shared_ptr<TlsContext> server, std::shared_ptr<TlsContext> client, std::string host,
                TlsSession* session = nullptr) {
    std::array<int, 2> fds{};
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data());
    Stream a(loop, fds[0]);
    Stream b(loop, fds[1]);
    for (Stream* stream : {&a, &b}) stream->set_deadline(loop.now() + 5s);
    Outcome outcome;
    int left = 2;
    auto done = [&] {
      if (--left == 0) loop.stop();
    };
    rt::spawn(serve(a, std::move(server), outcome), done);
    rt::spawn(connect(b, std::move(client), std::move(host), session, outcome), done);
    if (left > 0) loop.run();
    return outcome;
  }
};

TlsKeyPair pair_of(const TestCertificate& one) { return {one.cert(), one.key()}; }
TlsServerOptions serving(const TestCertificate& one) { return {.certificates = {pair_of(one)}}; }

TEST_F(TlsTest, TellsWhatTheHandshakeSettled) {
  TestCertificate own = leaf("DNS:llm.example");
  Outcome outcome = shake(server(serving(own)), client(), "llm.example");
  ASSERT_TRUE(outcome.server && outcome.client);
  for (const TlsFacts* facts : {&outcome.server_facts, &outcome.client_facts}) {
    EXPECT_EQ(facts->version, "TLSv1.3");
    EXPECT_THAT(facts->cipher, HasSubstr("TLS_AES"));
    EXPECT_THAT(facts->group, AnyOf("x25519", "X25519MLKEM768"));
    EXPECT_EQ(facts->alpn, "http/1.1");
    EXPECT_EQ(facts->server_name, "llm.example");
    EXPECT_FALSE(facts->resumed);
  }
  EXPECT_THAT(outcome.server_facts.identity, IsEmpty());
  EXPECT_EQ(outcome.client_facts.identity, "llm.example");
}

TEST_F(TlsTest, ServesTheCertificateOfTheNameAskedFor) {
  TestCertificate first = leaf("DNS:a.example");
  TestCertificate exact = leaf("DNS:B.example,DNS:api.c.example");
  TestCertificate wildcard = leaf("DNS:*.c.example");
  auto context = server({.certificates = {pair_of(first), pair_of(exact), pair_of(wildcard)}});
  auto served = [&](const std::string& host, const TestCertificate& wanted) {
    TlsClientOptions options;
    options.pins = {pin_of(wanted.x509())};
    return shake(context, client(options), host).client.has_value();
  };
  EXPECT_TRUE(served("a.example", first));
  EXPECT_TRUE(served("b.EXAMPLE", exact));
  EXPECT_TRUE(served("api.c.example", exact)) << "an exact name comes before a wildcard";
  EXPECT_TRUE(served("www.c.example", wildcard));
  Outcome unknown = shake(context, client(), "unknown.example");
  EXPECT_EQ(unknown.client_failure, TlsFailure::certificate_name) << "who asks for nobody gets the first";
  EXPECT_EQ(shake(context, client(), "x.y.c.example").client_failure, TlsFailure::certificate_name)
      << "a wildcard is one label";
}

TEST_F(TlsTest, ServesTheKindOfKeyTheClientKnows) {
  TestCertificate ecdsa = leaf("DNS:a.x.example");
  TestCertificate rsa = leaf("DNS:*.x.example", true);
  TestCertificate other = leaf("DNS:b.test");
  for (const auto& certificates :
       {std::vector{pair_of(ecdsa), pair_of(rsa)}, std::vector{pair_of(other), pair_of(ecdsa), pair_of(rsa)}}) {
    auto context = server({.certificates = certificates});
    for (const TestCertificate* wanted : {&ecdsa, &rsa}) {
      TlsClientOptions options;
      options.ca_file = authority.cert();
      options.pins = {pin_of(wanted->x509())};
      auto picky = TlsContext::client(options).value();
      SSL_CTX_set_max_proto_version(picky->get(), TLS1_2_VERSION);
      SSL_CTX_set_cipher_list(picky->get(),
                              wanted == &rsa ? "ECDHE-RSA-AES128-GCM-SHA256" : "ECDHE-ECDSA-AES128-GCM-SHA256");
      EXPECT_TRUE(shake(context, picky, "a.x.example").client.has_value()) << (wanted == &rsa ? "RSA" : "ECDSA");
    }
  }
}

TEST_F(TlsTest, RefusesAClientThatSpeaksOnlyOtherProtocols) {
  TestCertificate own = leaf("DNS:a.example");
  TlsClientOptions options;
  options.alpn = {"smtp"};
  Outcome outcome = shake(server(serving(own)), client(options), "a.example");
  EXPECT_EQ(outcome.server_failure, TlsFailure::alpn);
  EXPECT_EQ(outcome.client_failure, TlsFailure::alpn);
  options.alpn = {};
  EXPECT_TRUE(shake(server(serving(own)), client(options), "a.example").client.has_value());
}

TEST_F(TlsTest, PrefersTheServersOrderOfProtocols) {
  TestCertificate own = leaf("DNS:a.example");
  TlsServerOptions serving_both = serving(own);
  serving_both.alpn = {"h2", "http/1.1"};
  TlsClientOptions options;
  options.alpn = {"http/1.1", "h2"};
  EXPECT_EQ(shake(server(serving_both), client(options), "a.example").client_facts.alpn, "h2");
  EXPECT_EQ(shake(server(serving_both), client(), "a.example").server_facts.alpn, "http/1.1");
}

TEST_F(TlsTest, SpeaksOnlyTheVersionsAllowed) {
  TestCertificate own = leaf("DNS:a.example");
  auto old = TlsContext::client({.ca_file = authority.cert()}).value();
  SSL_CTX_set_max_proto_version(old->get(), TLS1_2_VERSION);
  TlsServerOptions options = serving(own);
  Outcome both = shake(server(options), old, "a.example");
  ASSERT_TRUE(both.client.has_value());
  EXPECT_EQ(both.server_facts.version, "TLSv1.2");
  EXPECT_EQ(both.server_facts.group, "x25519");
  options.min_version = TlsVersion::tls13;
  EXPECT_EQ(shake(server(options), old, "a.example").server_failure, TlsFailure::version);
}

// --- clients' certificates ---

struct ClientCertificates : TlsTest {
  TestCertificate own = leaf("DNS:a.example");
  TlsServerOptions options(ClientAuth auth = ClientAuth::required) {
    TlsServerOptions made = serving(own);
    made.client_ca_file = authority.cert();
    made.client_auth = auth;
    return made;
  }
  Outcome show(const TestCertificate& shown, ClientAuth auth = ClientAuth::required) {
    TlsClientOptions with;
    with.certificate = pair_of(shown);
    return shake(server(options(auth)), client(with), "a.example");
  }
};

TEST_F(ClientCertificates, GiveAnIdentity) {
  auto identity = [&](const std::string& names, std::string subject) {
    TestCertificate shown(CertificateSpec{.names = names, .subject = std::move(subject), .issuer = &authority});
    return show(shown).server_facts.identity;
  };
  EXPECT_EQ(identity("DNS:press,URI:spiffe://plant/press,email:a@b.example", "cn"), "spiffe://plant/press");
  EXPECT_EQ(identity("email:a@b.example,DNS:Press", "cn"), "Press");
  EXPECT_EQ(identity("email:a@b.example", "cn"), "a@b.example");
  EXPECT_EQ(identity("", "Presse für Müller"), "Presse für Müller");
  EXPECT_EQ(identity("", "two\nlines"), "");
}

TEST_F(ClientCertificates, AreRequiredOrNot) {
  Outcome without = shake(server(options()), client(), "a.example");
  EXPECT_EQ(without.server_failure, TlsFailure::certificate_missing);
  EXPECT_TRUE(without.client.has_value()) << "in TLS 1.3 the client learns of it later";
  ASSERT_FALSE(without.client_read.has_value());
  EXPECT_EQ(without.client_read.error().code, Errc::unavailable);
  EXPECT_THAT(without.client_read.error().detail, HasSubstr("does not accept our certificate"));
  Outcome optional = shake(server(options(ClientAuth::optional)), client(), "a.example");
  EXPECT_TRUE(optional.server.has_value());
  EXPECT_THAT(optional.server_facts.identity, IsEmpty());
}

TEST_F(ClientCertificates, AreVerifiedWheneverShown) {
  TestCertificate expired = leaf("DNS:old.example", false, -60);
  TestCertificate stranger("stranger.example");
  for (ClientAuth auth : {ClientAuth::required, ClientAuth::optional}) {
    EXPECT_EQ(show(expired, auth).server_failure, TlsFailure::certificate_expired);
    EXPECT_EQ(show(stranger, auth).server_failure, TlsFailure::certificate_untrusted);
  }
  Outcome unasked = show(stranger, ClientAuth::none);
  EXPECT_TRUE(unasked.server.has_value());
  EXPECT_THAT(unasked.server_facts.identity, IsEmpty());
}

// --- sessions ---

struct Sessions : ClientCertificates, testing::WithParamInterface<int> {
  std::shared_ptr<TlsContext> guest(const TlsClientOptions& options = {}) {
    TlsClientOptions with = options;
    with.ca_file = authority.cert();
    auto made = TlsContext::client(with).value();
    SSL_CTX_set_max_proto_version(made->get(), GetParam());
    return made;
  }
};
INSTANTIATE_TEST_SUITE_P(Versions, Sessions, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(Sessions, GoOnUnderANewContext) {
  TlsSession session;
  auto from = guest();
  EXPECT_FALSE(shake(server(serving(own)), from, "a.example", &session).server_facts.resumed);
  leaf("DNS:a.example").replace(own);  // renewed
  Outcome second = shake(server(serving(own)), from, "a.example", &session);
  EXPECT_TRUE(second.server_facts.resumed);
  EXPECT_TRUE(second.client_facts.resumed);
  TlsTicketKeys others;
  auto elsewhere = TlsContext::server(serving(own), others).value();
  Outcome third = shake(elsewhere, from, "a.example", &session);
  EXPECT_TRUE(third.server.has_value());
  EXPECT_FALSE(third.server_facts.resumed) << "another process's keys open nothing";
}

TEST_P(Sessions, KeepTheIdentity) {
  TestCertificate shown = leaf("URI:spiffe://plant/press");
  TlsClientOptions with;
  with.certificate = pair_of(shown);
  TlsSession session;
  auto from = guest(with);
  shake(server(options()), from, "a.example", &session);
  Outcome second = shake(server(options()), from, "a.example", &session);
  EXPECT_TRUE(second.server_facts.resumed);
  EXPECT_EQ(second.server_facts.identity, "spiffe://plant/press");
}

TEST_P(Sessions, DoNotGetPastOtherRulesForClients) {
  TlsSession session;
  auto from = guest();
  shake(server(serving(own)), from, "a.example", &session);
  EXPECT_EQ(shake(server(options()), from, "a.example", &session).server_failure, TlsFailure::certificate_missing);
}

TEST_P(Sessions, EndWithTheClientsCertificate) {
  TestCertificate shown = leaf("URI:spiffe://plant/press", false, 2);
  TlsClientOptions with;
  with.certificate = pair_of(shown);
  TlsSession session;
  auto from = guest(with);
  ASSERT_TRUE(shake(server(options()), from, "a.example", &session).server.has_value());
  // OpenSSL looks at the system's clock.
  while (X509_cmp_current_time(X509_get0_notAfter(shown.x509())) > 0) std::this_thread::sleep_for(100ms);
  Outcome later = shake(server(options()), from, "a.example", &session);
  EXPECT_FALSE(later.server.has_value());
  EXPECT_EQ(later.server_failure, TlsFailure::certificate_expired);
}

TEST(TicketKeys, AreReplacedInTime) {
  TlsTicketKeys keys;
  base::SteadyTime start{1000h};
  TlsTicketKey first = keys.sealing(start).value();
  EXPECT_EQ(keys.sealing(start + TlsTicketKeys::kPeriod - 1ns)->name, first.name);
  TlsTicketKey second = keys.sealing(start + TlsTicketKeys::kPeriod).value();
  EXPECT_NE(second.name, first.name);
  EXPECT_NE(second.cipher, first.cipher);
  auto opened = keys.opening(first.name.data(), start + TlsTicketKeys::kPeriod);
  ASSERT_TRUE(opened.has_value());
  EXPECT_FALSE(opened->fresh);
  EXPECT_EQ(opened->key.mac, first.mac);
  EXPECT_TRUE(keys.opening(second.name.data(), start + TlsTicketKeys::kPeriod)->fresh);
  base::SteadyTime end = start + TlsTicketKeys::kPeriod + TlsTicketKeys::kLifetimeMax;
  EXPECT_TRUE(keys.opening(first.name.data(), end - 1ns).has_value());
  EXPECT_FALSE(keys.opening(first.name.data(), end).has_value());
}

// --- connecting out ---

TEST_F(TlsTest, SaysWhatIsWrongWithAServer) {
  TestCertificate good = leaf("DNS:a.example");
  TestCertificate expired = leaf("DNS:a.example", false, -60);
  TestCertificate lonely("a.example");
  auto failure = [&](const TestCertificate& own, std::string host, const TlsClientOptions& options = {}) {
    Outcome outcome = shake(server(serving(own)), client(options), std::move(host));
    EXPECT_FALSE(outcome.client.has_value());
    if (!outcome.client) EXPECT_EQ(outcome.client.error().code, Errc::unavailable);
    EXPECT_EQ(outcome.server_failure, TlsFailure::refused_by_peer);
    return outcome.client_failure;
  };
  EXPECT_EQ(failure(good, "b.example"), TlsFailure::certificate_name);
  EXPECT_EQ(failure(expired, "a.example"), TlsFailure::certificate_expired);
  EXPECT_EQ(failure(lonely, "a.example"), TlsFailure::certificate_untrusted);
  TlsClientOptions pinned;
  pinned.pins = {pin_of(lonely.x509())};
  EXPECT_EQ(failure(good, "a.example", pinned), TlsFailure::certificate_pin);
  EXPECT_EQ(failure(lonely, "a.example", pinned), TlsFailure::certificate_untrusted) << "a pin replaces no authority";
  pinned.pins.push_back(pin_of(good.x509()));
  EXPECT_TRUE(shake(server(serving(good)), client(pinned), "a.example").client.has_value());
}

TEST(Pins, HaveOneForm) {
  EXPECT_TRUE(is_pin("sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="));
  for (const char* bad :
       {"", "sha256/", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "sha256//47DEQpj8HBSa+/TImW+5JCeu",
        "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSu*U=", "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF==",
        "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUA"}) {
    EXPECT_FALSE(is_pin(bad)) << bad;
  }
}

// --- files ---

TEST_F(TlsTest, NamesTheFileThatIsWrong) {
  TestCertificate one = leaf("DNS:a.example");
  TestCertificate two = leaf("DNS:b.example");
  auto problem = [&](const TlsServerOptions& options) {
    auto made = TlsContext::server(options, ticket_keys);
    EXPECT_FALSE(made.has_value());
    return made ? std::string() : made.error().detail;
  };
  EXPECT_THAT(problem({.certificates = {{"/nowhere.pem", one.key()}}}),
              HasSubstr("certificate '/nowhere.pem': No such file"));
  EXPECT_THAT(problem({.certificates = {{one.key(), one.key()}}}), HasSubstr("no certificate in PEM form"));
  EXPECT_THAT(problem({.certificates = {{one.cert(), "/nowhere.key"}}}), HasSubstr("private key '/nowhere.key'"));
  EXPECT_THAT(problem({.certificates = {pair_of(one), {two.cert(), one.key()}}}),
              HasSubstr(fmt::format("it is not the key of the certificate '{}'", two.cert())));
  TlsServerOptions clients = serving(one);
  clients.client_auth = ClientAuth::required;
  clients.client_ca_file = one.key();
  EXPECT_THAT(problem(clients), HasSubstr(one.key()));
  std::ofstream(one.cert(), std::ios::app) << "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  EXPECT_THAT(problem(serving(one)), HasSubstr("its chain is damaged"));
}

TEST_F(TlsTest, AsksNobodyForThePasswordOfAKey) {
  TestCertificate one = leaf("DNS:a.example");
  EVP_PKEY* key = EVP_EC_gen("P-256");
  FILE* file = std::fopen(one.key().c_str(), "w");
  PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), reinterpret_cast<const unsigned char*>("pw"), 2, nullptr, nullptr);
  std::fclose(file);
  EVP_PKEY_free(key);
  auto made = TlsContext::server(serving(one), ticket_keys);
  ASSERT_FALSE(made.has_value());
  EXPECT_THAT(made.error().detail, HasSubstr("it has a password"));
}

TEST_F(TlsTest, ListsItsFiles) {
  TlsServerOptions options{.certificates = {{"a", "b"}, {"c", "d"}}, .client_ca_file = "e"};
  EXPECT_EQ(options.files(), (std::vector<std::string>{"a", "b", "c", "d", "e"}));
  TlsClientOptions out{.ca_file = "a", .certificate = {"b", "c"}};
  EXPECT_EQ(out.files(), (std::vector<std::string>{"a", "b", "c"}));
}

// --- what is no TLS ---

struct Strange : TlsTest {
  TestCertificate own = leaf("DNS:a.example");
  TlsFailure after(const std::string& bytes) {
    std::array<int, 2> fds{};
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data());
    Stream stream(loop, fds[0]);
    stream.set_deadline(loop.now() + 200ms);
    EXPECT_EQ(::send(fds[1], bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    Outcome outcome;
    rt::spawn(serve(stream, server(serving(own)), outcome), [&] { loop.stop(); });
    loop.run();
    ::close(fds[1]);
    EXPECT_FALSE(outcome.server.has_value());
    return outcome.server_failure;
  }
};

TEST_F(Strange, IsToldApart) {
  EXPECT_EQ(after("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), TlsFailure::plain_http);
  EXPECT_EQ(after("POST /v1/chat/completions HTTP/1.1\r\n\r\n"), TlsFailure::plain_http);
  EXPECT_EQ(after(std::string(2000, '\xfe')), TlsFailure::not_tls);
  EXPECT_EQ(after("SSH-2.0-OpenSSH_9.2\r\n"), TlsFailure::not_tls);
  EXPECT_EQ(after(std::string("\x16\x03\x01\x02\x00\x01", 6)), TlsFailure::timeout) << "half a ClientHello";
}

TEST(TlsFigures, CountByOutcome) {
  auto count = [](std::string_view reason) {
    std::uint64_t sum = 0;
    for (const auto& one : tls_failures()) sum += one.reason == reason ? one.count : 0;
    return sum;
  };
  std::uint64_t before = count("certificate_pin");
  count_failure(TlsSide::client, TlsFailure::certificate_pin);
  EXPECT_EQ(count("certificate_pin"), before + 1);
  TlsFacts facts;
  facts.version = "TLSv1.3";
  facts.group = "a group of tomorrow";
  facts.resumed = true;
  count_handshake(TlsSide::client, facts);
  bool found = false;
  for (const auto& one : tls_handshakes())
    found = found || (one.group == "other" && one.resumed && one.side == "client");
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace penstock::net
