#include "artifact/model_signing.h"

#include <algorithm>
#include <charconv>

#include "chat/base64.h"
#include "json/value.h"

namespace penstock::artifact {
namespace {

constexpr std::string_view kPayloadType = "application/vnd.in-toto+json";
constexpr std::string_view kStatementType = "https://in-toto.io/Statement/v1";
constexpr std::string_view kPredicateType = "https://model_signing/signature/v1.0";
constexpr std::string_view kMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json";

std::unexpected<Error> broken(std::string_view what) {
  return fail(Errc::data_loss,
              fmt::format("{} is no signature as `model_signing sign key` makes it: {}", kBundleFile, what));
}

struct Envelope {
  std::string payload;
  std::string signature;
};

Result<Envelope> read_envelope(const json::Value& bundle) {
  const json::Value* envelope = json::find(bundle, "dsseEnvelope");
  if (envelope == nullptr) return broken("there is no dsseEnvelope");
  if (json::string_or(*envelope, "payloadType", "") != kPayloadType)
    return broken(fmt::format("its payloadType is not {}", kPayloadType));
  const json::Value* signatures = json::find(*envelope, "signatures");
  if (signatures == nullptr || !signatures->is_array() || signatures->get_array().size() != 1)
    return broken("it must have one signature");
  auto payload = chat::read_base64(json::string_or(*envelope, "payload", ""));
  auto signature = chat::read_base64(json::string_or(signatures->get_array().front(), "sig", ""));
  if (!payload || !signature) return broken("payload or signature is not base64");
  return Envelope{std::move(*payload), std::move(*signature)};
}

bool read_offset(std::string_view text, std::uint64_t& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

// "path:begin:end"
bool read_shard(std::string_view name, std::string& path, ClaimedPart& part) {
  std::size_t last = name.rfind(':');
  std::size_t first = last == std::string_view::npos || last == 0 ? std::string_view::npos : name.rfind(':', last - 1);
  if (first == std::string_view::npos || name.find(':') != first) return false;
  path = name.substr(0, first);
  return read_offset(name.substr(first + 1, last - first - 1), part.begin) &&
         read_offset(name.substr(last + 1), part.end) && part.begin < part.end;
}

struct Serialization {
  bool shards = false;
  HashType hash = HashType::sha256;
  std::string algorithm;  // as the resources name it
};

Result<Serialization> read_serialization(const json::Value& predicate, Claims& claims) {
  const json::Value* how = json::find(predicate, "serialization");
  if (how == nullptr) return broken("its predicate does not say how files were hashed");
  Serialization serialization;
  std::string_view method = json::string_or(*how, "method", "");
  if (method != "files" && method != "shards")
    return fail(Errc::unimplemented, fmt::format("files hashed by the method '{}' cannot be checked; files and shards "
                                                 "are known",
                                                 method));
  serialization.shards = method == "shards";
  std::string_view hash = json::string_or(*how, "hash_type", "");
  // Shards carry the size of a full one in the name of their digest: sha256-sharded-1000000000
  serialization.algorithm = hash;
  std::string_view plain = hash.substr(0, hash.find("-sharded-"));
  auto type = parse_hash_type(plain);
  if (!type) {
    return fail(Errc::unimplemented,
                fmt::format("files hashed with '{}' cannot be checked; sha256 and blake2b are known", plain));
  }
  serialization.hash = *type;
  claims.empty_files_unnamed = serialization.shards;
  const json::Value* ignored = json::find(*how, "ignore_paths");
  if (ignored == nullptr) return serialization;
  if (!ignored->is_array()) return broken("ignore_paths is no list");
  for (const json::Value& path : ignored->get_array()) {
    if (!path.is_string() || !is_plain_path(path.get_string()))
      return broken("a path in ignore_paths leaves the folder");
    claims.ignored.emplace_back(path.get_string());
  }
  return serialization;
}

// Resources in the order in which the digest of all of them was made.
Result<void> read_resource(const json::Value& resource, const Serialization& how, Claims& claims, Hasher& all) {
  std::string_view name = json::string_or(resource, "name", "");
  auto digest = from_hex(json::string_or(resource, "digest", ""));
  std::string_view algorithm = json::string_or(resource, "algorithm", "");
  if (!digest || digest->size() != (how.hash == HashType::sha256 ? 32U : 64U) ||
      parse_hash_type(algorithm.substr(0, algorithm.find("-sharded-"))) != how.hash)
    return broken(fmt::format("the digest of '{}' is none", name));
  all.update(*digest);
  ClaimedPart part{.digest = std::move(*digest)};
  std::string path(name);
  if (how.shards && !read_shard(name, path, part)) return broken(fmt::format("'{}' is no shard", name));
  if (path == ".") {
    path.clear();
    claims.single = true;
  } else if (!is_plain_path(path)) {
    return broken("a path is empty, absolute, or leaves the folder");
  }
  auto known =
      std::find_if(claims.files.begin(), claims.files.end(), [&](const auto& file) { return file.path == path; });
  if (known == claims.files.end()) {
    claims.files.push_back({.path = std::move(path), .hash = how.hash, .parts = {std::move(part)}});
  } else if (how.shards) {
    known->parts.push_back(std::move(part));
  } else {
    return broken(fmt::format("'{}' stands there twice", path));
  }
  return {};
}

Result<void> close_parts(ClaimedFile& file) {
  std::sort(file.parts.begin(), file.parts.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::uint64_t at = 0;
  for (const ClaimedPart& part : file.parts) {
    if (part.begin != at) return broken(fmt::format("the shards of '{}' overlap or leave gaps", file.path));
    at = part.end;
  }
  if (at != ClaimedPart::kUnknownEnd) file.size = at;
  return {};
}

}  // namespace

Result<Claims> read_statement(std::string_view payload) {
  auto statement = json::parse(payload);
  if (!statement) return broken(statement.error().detail);
  if (json::string_or(*statement, "_type", "") != kStatementType) return broken("no in-toto statement, version 1");
  std::string_view type = json::string_or(*statement, "predicateType", "");
  if (type != kPredicateType) {
    return fail(
        Errc::unimplemented,
        fmt::format("a signature of the kind {} cannot be checked; sign again with model_signing 1.0 or newer", type));
  }
  const json::Value* subjects = json::find(*statement, "subject");
  const json::Value* predicate = json::find(*statement, "predicate");
  const json::Value* resources = predicate == nullptr ? nullptr : json::find(*predicate, "resources");
  if (subjects == nullptr || !subjects->is_array() || subjects->get_array().size() != 1 || resources == nullptr ||
      !resources->is_array() || resources->get_array().empty())
    return broken("it must have one subject, and resources");
  Claims claims;
  auto how = read_serialization(*predicate, claims);
  if (!how) return std::unexpected(std::move(how.error()));
  Hasher all(HashType::sha256);
  for (const json::Value& resource : resources->get_array()) {
    if (auto read = read_resource(resource, *how, claims, all); !read) return std::unexpected(std::move(read.error()));
  }
  const json::Value* digests = json::find(subjects->get_array().front(), "digest");
  auto expected = from_hex(digests == nullptr ? "" : json::string_or(*digests, "sha256", ""));
  if (!expected || *expected != all.finish()) return broken("its resources are not those of its subject");
  for (ClaimedFile& file : claims.files) {
    if (auto closed = close_parts(file); !closed) return std::unexpected(std::move(closed.error()));
  }
  if (claims.single && claims.files.size() != 1) return broken("it is of one file and of several");
  std::sort(claims.files.begin(), claims.files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return claims;
}

Result<SignedClaims> open_bundle(std::string_view text, const std::vector<PublicKey>& keys) {
  if (text.size() > kBundleBytesMax) return broken("it is larger than 16 MiB");
  auto bundle = json::parse(text);
  if (!bundle) return broken(bundle.error().detail);
  if (json::string_or(*bundle, "mediaType", "") != kMediaType)
    return fail(Errc::unimplemented, fmt::format("{} is not of the type {}", kBundleFile, kMediaType));
  const json::Value* material = json::find(*bundle, "verificationMaterial");
  if (material == nullptr || json::find(*material, "publicKey") == nullptr) {
    return fail(Errc::unimplemented,
                fmt::format("{} was made with a certificate or an identity, which is not checked here; sign with "
                            "`model_signing sign key`",
                            kBundleFile));
  }
  auto envelope = read_envelope(*bundle);
  if (!envelope) return std::unexpected(std::move(envelope.error()));
  std::string message =
      fmt::format("DSSEv1 {} {} {} ", kPayloadType.size(), kPayloadType, envelope->payload.size()) + envelope->payload;
  auto key = std::find_if(keys.begin(), keys.end(),
                          [&](const PublicKey& one) { return one.verifies(message, envelope->signature); });
  if (key == keys.end()) {
    return fail(Errc::permission_denied,
                fmt::format("{} was not made with a key in signed_by, or was changed", kBundleFile));
  }
  auto claims = read_statement(envelope->payload);
  if (!claims) return std::unexpected(std::move(claims.error()));
  return SignedClaims{std::move(*claims), key->id()};
}

}  // namespace penstock::artifact
