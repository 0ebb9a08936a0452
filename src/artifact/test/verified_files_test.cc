#include "artifact/verified_files.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "artifact/manifest.h"
#include "artifact/model_signing.h"

namespace penstock::artifact {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::uint64_t kMost = 1 << 20;

void write(const fs::path& path, std::string_view bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

class Folder : public testing::Test {
 protected:
  Folder() {
    std::string pattern = fs::temp_directory_path() / "penstock-artifact-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
    write(path_ / "model.onnx", "the model");
    write(path_ / "sub/labels.txt", "cold\nwarm\n");
  }
  ~Folder() override { fs::remove_all(path_); }

  void sign(Claims claims) {
    std::string manifest = write_manifest(claims);
    write(path_ / kManifestFile, manifest);
    write(path_ / kManifestSignatureFile, *key_.sign(manifest));
  }
  void sign() { sign(*claim(*DiskFiles::open(path_), kMost)); }

  // Everything there is to check; the bytes of the model.
  Result<std::string> verify() {
    auto files = DiskFiles::open(path_);
    if (!files) return std::unexpected(files.error());
    auto verified = VerifiedFiles::open(*files, {*key_.public_key()});
    if (!verified) return std::unexpected(verified.error());
    auto bytes = verified->read("model.onnx", kMost);
    if (!bytes) return bytes;
    if (auto rest = verified->check_rest(kMost); !rest) return std::unexpected(rest.error());
    return bytes;
  }
  std::string why() {
    auto verified = verify();
    return verified ? "it was taken" : verified.error().detail;
  }

  fs::path path_;
  PrivateKey key_ = PrivateKey::generate();
};

TEST_F(Folder, WhatWasSignedIsRead) {
  sign();
  auto bytes = verify();
  ASSERT_TRUE(bytes) << bytes.error().detail;
  EXPECT_EQ(*bytes, "the model");
}

TEST_F(Folder, WithoutSignatureItIsRefusedAndToldWhatToDo) {
  auto refused = verify();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::permission_denied);
  EXPECT_THAT(refused.error().detail, HasSubstr("penstock artifact sign"));
  sign();
  fs::remove(path_ / kManifestSignatureFile);
  EXPECT_THAT(why(), HasSubstr("without manifest.sig"));
}

TEST_F(Folder, AnotherKeyIsRefused) {
  sign();
  key_ = PrivateKey::generate();
  EXPECT_THAT(why(), HasSubstr("another key"));
}

TEST_F(Folder, ChangedBytesAreRefused) {
  sign();
  write(path_ / "model.onnx", "the modem");
  EXPECT_THAT(why(), HasSubstr("model.onnx: its bytes are not those that were signed"));
  write(path_ / "model.onnx", "the model ");
  EXPECT_THAT(why(), HasSubstr("not those that were signed"));
  write(path_ / "model.onnx", "the model");
  write(path_ / "sub/labels.txt", "cold\nwarm?\n");
  EXPECT_THAT(why(), HasSubstr("labels.txt"));
}

TEST_F(Folder, FilesMoreOrLessAreRefused) {
  sign();
  write(path_ / "sub/more.bin", "");
  EXPECT_THAT(why(), HasSubstr("sub/more.bin: it is not among the signed files"));
  fs::remove(path_ / "sub/more.bin");
  fs::remove(path_ / "sub/labels.txt");
  EXPECT_THAT(why(), HasSubstr("was signed and is missing"));
}

TEST_F(Folder, LinksAndDevicesAreRefused) {
  sign();
  fs::create_symlink("/etc/hostname", path_ / "link");
  EXPECT_THAT(why(), HasSubstr("symbolic link"));
  fs::remove(path_ / "link");
  fs::rename(path_ / "model.onnx", path_.string() + ".elsewhere");
  fs::create_symlink(path_.string() + ".elsewhere", path_ / "model.onnx");
  EXPECT_THAT(why(), HasSubstr("symbolic link"));
  fs::remove(path_ / "model.onnx");
  fs::rename(path_.string() + ".elsewhere", path_ / "model.onnx");
  ASSERT_EQ(::mkfifo((path_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(why(), HasSubstr("neither file nor folder"));
}

TEST_F(Folder, ManifestsHaveOneWayToBeWritten) {
  std::string good = write_manifest(*claim(*DiskFiles::open(path_), kMost));
  ASSERT_TRUE(read_manifest(good));
  auto replaced = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  for (const std::string& wrong :
       {replaced("model.onnx", "../model.onnx"), replaced("model.onnx", "/model.onnx"), replaced("model.onnx", "a//b"),
        replaced("model.onnx", "zzz"), replaced("sub/labels.txt", "model.onnx"), replaced("\"size\":9", "\"size\":-9"),
        replaced("\"version\":0", "\"version\":0,\"x\":1"), replaced("\"version\":0", "\"version\":3,\"version\":0"),
        replaced("\"format\":\"penstock-manifest-1\"", "\"format\":\"penstock-manifest-2\""), good + " ", std::string(),
        std::string("[]")}) {
    EXPECT_FALSE(read_manifest(wrong)) << wrong;
  }
}

TEST_F(Folder, FilesThatAreNotSignedCannotBeRead) {
  sign();
  auto files = DiskFiles::open(path_);
  auto verified = VerifiedFiles::open(*files, {*key_.public_key()});
  ASSERT_TRUE(verified);
  for (const char* path : {"manifest.json", "../x", "/etc/hostname", "sub", "nothing"})
    EXPECT_FALSE(verified->read(path, kMost)) << path;
  EXPECT_EQ(verified->read("model.onnx", 3).error().code, Errc::out_of_range);
}

// --- What OpenSSF's model_signing 1.1 made; signed/make_signed.py ---

fs::path made(std::string_view name) { return fs::path(PENSTOCK_SOURCE_DIR) / "src/artifact/test/signed" / name; }

std::vector<PublicKey> made_key(const std::string& name) {
  return *PublicKey::parse(*read_file(made(name + ".pub"), kMost));
}

TEST(ModelSigning, EveryKindOfBundleIsTaken) {
  for (const char* name : {"files_p256", "files_p384", "shards", "blake2", "single"}) {
    auto files = DiskFiles::open(made(name));
    ASSERT_TRUE(files);
    auto verified = VerifiedFiles::open(*files, made_key(name));
    ASSERT_TRUE(verified) << name << ": " << verified.error().detail;
    auto bytes = verified->read("model.onnx", kMost);
    ASSERT_TRUE(bytes) << name << ": " << bytes.error().detail;
    EXPECT_EQ(bytes->size(), 41U);
    EXPECT_TRUE(verified->check_rest(kMost)) << name;
    EXPECT_FALSE(verified->read("notes.txt", kMost)) << "ignored files are not signed";
    EXPECT_EQ(VerifiedFiles::open(*files, made_key(std::string(name) == "shards" ? "single" : "shards")).error().code,
              Errc::permission_denied);
  }
}

TEST(ModelSigning, EveryChangedFileIsRefused) {
  for (const char* name : {"files_p256", "shards", "blake2", "single"}) {
    std::map<std::string, std::string> files;
    auto disk = DiskFiles::open(made(name));
    const std::vector<std::string> paths = *disk->list();
    for (const std::string& path : paths) files[path] = *disk->read(path, kMost);
    auto check = [&](std::map<std::string, std::string> changed) -> Result<void> {
      MemoryFiles::Content content;
      for (auto& [path, bytes] : changed) content[path] = std::make_shared<const std::string>(std::move(bytes));
      MemoryFiles memory("changed", std::move(content));
      auto verified = VerifiedFiles::open(memory, made_key(name));
      if (!verified) return std::unexpected(verified.error());
      if (auto read = verified->read("model.onnx", kMost); !read) return std::unexpected(read.error());
      return verified->check_rest(kMost);
    };
    ASSERT_TRUE(check(files)) << name;
    for (const auto& [path, bytes] : files) {
      if (path == "notes.txt" || path == "model.sig") continue;
      auto changed = files;
      changed[path].back() = static_cast<char>(changed[path].back() ^ 1);
      EXPECT_FALSE(check(changed)) << name << " " << path;
      changed[path] = bytes + "x";
      EXPECT_FALSE(check(changed)) << name << " longer " << path;
      changed[path] = bytes.substr(0, bytes.size() - 1);
      EXPECT_FALSE(check(changed)) << name << " shorter " << path;
      changed.erase(path);
      EXPECT_FALSE(check(changed)) << name << " without " << path;
    }
    if (std::string(name) == "single") continue;
    auto more = files;
    more["more.bin"] = "x";
    EXPECT_FALSE(check(more)) << name;
  }
}

// `from` in the signed text becomes `to`: what a careless or hostile holder of the key could sign.
Result<Claims> restated(std::string_view from, std::string_view to) {
  std::string digest(64, 'a');
  std::string text =
      R"({"_type":"https://in-toto.io/Statement/v1","predicateType":"https://model_signing/signature/v1.0",)"
      R"("subject":[{"name":"m","digest":{"sha256":")" +
      to_hex(sha256(*from_hex(digest))) +
      R"("}}],"predicate":{"serialization":{"method":"files","hash_type":"sha256","ignore_paths":["a"]},)"
      R"("resources":[{"name":"f","algorithm":"sha256","digest":")" +
      digest + "\"}]}}";
  if (!from.empty()) text.replace(text.find(from), from.size(), to);
  return read_statement(text);
}

TEST(ModelSigning, StatementsAreReadStrictly) {
  ASSERT_TRUE(restated("", ""));
  EXPECT_FALSE(restated("Statement/v1", "Statement/v2"));
  EXPECT_EQ(restated("signature/v1.0", "signature/v9").error().code, Errc::unimplemented);
  EXPECT_EQ(restated("\"files\"", "\"tensors\"").error().code, Errc::unimplemented);
  EXPECT_EQ(restated("\"hash_type\":\"sha256\"", "\"hash_type\":\"blake3\"").error().code, Errc::unimplemented);
  EXPECT_FALSE(restated("\"name\":\"f\"", "\"name\":\"../f\""));
  EXPECT_FALSE(restated("\"name\":\"f\"", "\"name\":\"/f\""));
  EXPECT_FALSE(restated("[\"a\"]", "[\"..\"]"));
  EXPECT_FALSE(restated("[\"a\"]", "[\"\"]"));
  EXPECT_FALSE(restated("\"algorithm\":\"sha256\"", "\"algorithm\":\"md5\""));
  EXPECT_FALSE(restated("aaaa\"}]}}", "aaab\"}]}}")) << "the subject's digest is of all resources";
  EXPECT_FALSE(restated("\"method\":\"files\"", "\"method\":\"shards\"")) << "f is no shard";
}

TEST(ModelSigning, BundlesOfIdentitiesAreToldApart) {
  auto refused = open_bundle(
      R"({"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{}}})", {});
  EXPECT_EQ(refused.error().code, Errc::unimplemented);
  EXPECT_THAT(refused.error().detail, HasSubstr("sign key"));
  EXPECT_FALSE(open_bundle("{}", {}));
  EXPECT_FALSE(open_bundle("", {}));
}

}  // namespace
}  // namespace penstock::artifact
