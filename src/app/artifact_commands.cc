// penstock artifact keygen | sign | verify | encrypt | decrypt | inspect
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "app/command_groups.h"
#include "app/data_folder.h"
#include "artifact/manifest.h"
#include "artifact/sealed_file.h"
#include "artifact/verified_files.h"
#include "base/quantity.h"
#include "base/whole_file.h"
#include "infer/model_scan.h"

namespace penstock::app {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kFileBytesMax = std::uint64_t{64} << 30;
constexpr std::uint64_t kKeyBytesMax = 64 * 1024;

struct ArtifactOptions {
  std::string target;  // a folder or file
  std::string key;     // a file
  std::string out;
  std::string model;
  std::int64_t version = 0;
  bool encryption = false;
  bool force = false;
};

Result<void> write_file(const fs::path& path, std::string_view bytes, mode_t mode, bool replace) {
  auto written = base::write_whole(path.string(), bytes, mode, replace);
  if (!written && written.error().code == Errc::already_exists) written.error().detail += "; --force replaces it";
  return written;
}

Result<base::Secret> read_secret(const std::string& path) {
  auto text = artifact::read_file(path, kKeyBytesMax);
  if (!text) return std::unexpected(std::move(text.error()));
  return base::Secret(std::move(*text));
}

// From a file, or from the environment, so that it need not be on a disk.
Result<base::Secret> encryption_key(const ArtifactOptions& options) {
  Result<base::Secret> text = fail(Errc::invalid_argument,
                                   "name the file of the encryption key with --key, or put the key into "
                                   "PENSTOCK_ENCRYPTION_KEY");
  if (!options.key.empty()) {
    text = read_secret(options.key);
  } else if (const char* set = std::getenv("PENSTOCK_ENCRYPTION_KEY")) {
    text = base::Secret(set);
  }
  if (!text) return text;
  return artifact::parse_encryption_key(*text);
}

Result<int> keygen(const ArtifactOptions& options) {
  if (options.encryption) {
    base::Secret key = artifact::make_encryption_key();
    auto written = write_file(options.out, std::string(key.reveal()) + "\n", 0600, options.force);
    if (!written) return std::unexpected(std::move(written.error()));
    std::printf("%s  the key that encrypts: keep it secret, and a copy of it safe\n", options.out.c_str());
    return 0;
  }
  artifact::PrivateKey key = artifact::PrivateKey::generate();
  std::string open = options.out + ".pub";
  if (auto written = write_file(options.out, key.pem().reveal(), 0600, options.force); !written)
    return std::unexpected(std::move(written.error()));
  if (auto written = write_file(open, key.public_pem(), 0644, options.force); !written)
    return std::unexpected(std::move(written.error()));
  auto known = key.public_key();
  std::printf(
      "%s  the key that signs: keep it secret, away from the gateways\n%s  its public half, for `signed_by`, "
      "id %s\n",
      options.out.c_str(), open.c_str(), known ? known->id().c_str() : "");
  return 0;
}

Result<int> sign(const ArtifactOptions& options) {
  auto secret = read_secret(options.key);
  if (!secret) return std::unexpected(std::move(secret.error()));
  auto key = artifact::PrivateKey::parse(*secret);
  if (!key) return fail(key.error().code, options.key + ": " + key.error().detail);
  auto files = artifact::DiskFiles::open(options.target);
  if (!files) return std::unexpected(std::move(files.error()));
  auto claims = artifact::claim(*files, kFileBytesMax);
  if (!claims) return std::unexpected(std::move(claims.error()));
  if (claims->files.empty()) return fail(Errc::invalid_argument, options.target + ": there is nothing to sign in it");
  claims->model = options.model;
  claims->version = options.version;
  std::string manifest = artifact::write_manifest(*claims);
  auto signature = key->sign(manifest);
  if (!signature) return std::unexpected(std::move(signature.error()));
  fs::path folder(options.target);
  if (auto written = write_file(folder / artifact::kManifestFile, manifest, 0644, true); !written)
    return std::unexpected(std::move(written.error()));
  if (auto written = write_file(folder / artifact::kManifestSignatureFile, *signature, 0644, true); !written)
    return std::unexpected(std::move(written.error()));
  std::printf("signed %zu files of %s\n", claims->files.size(), options.target.c_str());
  return 0;
}

Result<int> verify(const ArtifactOptions& options) {
  auto pem = artifact::read_file(options.key, kKeyBytesMax);
  if (!pem) return std::unexpected(std::move(pem.error()));
  auto keys = artifact::PublicKey::parse(*pem);
  if (!keys) return fail(keys.error().code, options.key + ": " + keys.error().detail);
  auto files = artifact::DiskFiles::open(options.target);
  if (!files) return std::unexpected(std::move(files.error()));
  auto verified = artifact::VerifiedFiles::open(*files, *keys);
  if (!verified) return std::unexpected(std::move(verified.error()));
  const artifact::Claims& claims = verified->claims();
  auto model = verified->read(claims.single ? "model.onnx" : claims.files.front().path, kFileBytesMax);
  if (!model) return std::unexpected(std::move(model.error()));
  if (auto rest = verified->check_rest(kFileBytesMax); !rest) return std::unexpected(std::move(rest.error()));
  std::string about = claims.model.empty() ? "" : fmt::format(", of the model '{}'", claims.model);
  if (claims.version != 0) about += fmt::format(", version {}", claims.version);
  std::printf("good: %zu files, signed with the key %s%s\n", claims.files.size(), verified->key_id().c_str(),
              about.c_str());
  return 0;
}

Result<int> change(const ArtifactOptions& options, bool sealing) {
  auto key = encryption_key(options);
  if (!key) return std::unexpected(std::move(key.error()));
  auto bytes = artifact::read_file(options.target, kFileBytesMax);
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  if (sealing && artifact::is_sealed(*bytes))
    return fail(Errc::invalid_argument, options.target + ": it is encrypted already");
  auto changed =
      sealing ? Result<std::string>(artifact::seal(*bytes, *key)) : artifact::unseal(std::move(*bytes), *key);
  if (!changed) return fail(changed.error().code, options.target + ": " + changed.error().detail);
  const std::string& out = options.out.empty() ? options.target : options.out;
  mode_t mode = sealing ? 0644 : 0600;
  if (auto written = write_file(out, *changed, mode, out == options.target || options.force); !written)
    return std::unexpected(std::move(written.error()));
  std::printf("%s %s\n", sealing ? "encrypted" : "decrypted", out.c_str());
  return 0;
}

Result<int> inspect(const ArtifactOptions& options) {
  auto bytes = artifact::read_file(options.target, kFileBytesMax);
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  if (artifact::is_sealed(*bytes)) {
    auto key = encryption_key(options);
    if (!key) return fail(key.error().code, options.target + ": it is encrypted: " + key.error().detail);
    bytes = artifact::unseal(std::move(*bytes), *key);
    if (!bytes) return fail(bytes.error().code, options.target + ": " + bytes.error().detail);
  }
  auto outline = infer::scan_model(*bytes);
  if (!outline) return fail(outline.error().code, options.target + ": " + outline.error().detail);
  std::printf("ONNX, format version %lld%s%s\n", static_cast<long long>(outline->ir_version),
              outline->producer.empty() ? "" : ", by ", outline->producer.c_str());
  for (const infer::OperatorSet& set : outline->operator_sets)
    std::printf("operators %s, version %lld\n", set.domain.empty() ? "ai.onnx" : set.domain.c_str(),
                static_cast<long long>(set.version));
  std::printf("%zu nodes, %zu tensors, %s\n", outline->nodes, outline->tensors,
              fmt::format("{} bytes", bytes->size()).c_str());
  for (const infer::ExternalData& external : outline->external)
    std::printf("weights of %s in %s\n", external.tensor.c_str(), external.location.c_str());
  return 0;
}

}  // namespace

void add_artifact_commands(CLI::App& cli, Command& chosen) {
  CLI::App* group = cli.add_subcommand("artifact", "sign, verify, encrypt and look at model files");
  group->require_subcommand(1);
  auto options = std::make_shared<ArtifactOptions>();
  auto add = [&](const char* name, const char* about, Result<int> (*run)(const ArtifactOptions&)) {
    CLI::App* command = group->add_subcommand(name, about);
    command->callback([&chosen, options, run] { chosen = [options, run] { return finish(run(*options)); }; });
    return command;
  };
  CLI::App* made = add("keygen", "make a pair of keys to sign with (Ed25519), or a key to encrypt with", keygen);
  made->add_option("--out", options->out, "the file of the key; the public half gets .pub behind it")->required();
  made->add_flag("--encryption", options->encryption, "a key to encrypt with (AES-256)");
  CLI::App* signer = add("sign", "sign every file of a version's folder: writes manifest.json and manifest.sig", sign);
  signer->add_option("FOLDER", options->target)->required();
  signer->add_option("--key", options->key, "the private key, PEM")->required();
  signer->add_option("--model", options->model, "the only model it may be loaded as");
  signer->add_option("--version", options->version, "and the only version")->check(CLI::PositiveNumber);
  CLI::App* verifier = add("verify", "check a folder that `sign` or `model_signing sign key` signed", verify);
  verifier->add_option("FOLDER", options->target)->required();
  verifier->add_option("--key", options->key, "the public keys, PEM")->required();
  CLI::App* sealer = add("encrypt", "encrypt a file, in its place or into another",
                         [](const ArtifactOptions& given) { return change(given, true); });
  CLI::App* opener = add("decrypt", "the way back", [](const ArtifactOptions& given) { return change(given, false); });
  CLI::App* look = add("inspect", "what a model file needs, or why it is refused", inspect);
  for (CLI::App* command : {sealer, opener, look}) {
    command->add_option("FILE", options->target)->required();
    command->add_option("--key", options->key, "the file of the encryption key; else PENSTOCK_ENCRYPTION_KEY");
  }
  for (CLI::App* command : {sealer, opener}) command->add_option("--out", options->out, "the file to write");
  for (CLI::App* command : {made, sealer, opener})
    command->add_flag("--force", options->force, "replace a file that is there");
}

}  // namespace penstock::app
