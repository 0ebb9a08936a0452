#include "infer/model_source.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <protozero/pbf_writer.hpp>

#include "artifact/manifest.h"
#include "artifact/sealed_file.h"
#include "artifact/verified_files.h"

namespace penstock::infer {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::uint64_t kMost = 1 << 20;

// A model of one weight of four FLOATs, which may stand in w.bin.
std::string model_bytes(const std::string& location = "") {
  std::string tensor;
  protozero::pbf_writer weight(tensor);
  weight.add_int64(1, 4);
  weight.add_int32(2, 1);
  weight.add_string(8, "w");
  if (location.empty()) {
    weight.add_bytes(9, std::string(16, 'x'));
  } else {
    std::string entry;
    protozero::pbf_writer pair(entry);
    pair.add_string(1, "location");
    pair.add_string(2, location);
    weight.add_message(13, entry);
    weight.add_int32(14, 1);
  }
  std::string graph;
  protozero::pbf_writer(graph).add_message(5, tensor);
  std::string out;
  protozero::pbf_writer model(out);
  model.add_int64(1, 8);
  model.add_message(7, graph);
  return out;
}

class ModelSource : public testing::Test {
 protected:
  ModelSource() {
    std::string pattern = fs::temp_directory_path() / "penstock-source-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
    fs::create_directories(path_ / "4");
    config_.name = "bearing";
    put("model.onnx", model_bytes());
  }
  ~ModelSource() override { fs::remove_all(path_); }

  void put(const std::string& name, std::string_view bytes) {
    std::ofstream(path_ / "4" / name, std::ios::binary) << bytes;
  }
  void sign(const std::string& model, std::int64_t version) {
    config_.origin.signed_by = key_.public_pem();
    auto claims = *artifact::claim(*artifact::DiskFiles::open(path_ / "4"), kMost);
    claims.model = model;
    claims.version = version;
    std::string manifest = artifact::write_manifest(claims);
    put("manifest.json", manifest);
    put("manifest.sig", *key_.sign(manifest));
  }
  void encrypt() {
    config_.origin.encryption_key = artifact::make_encryption_key();
    put("model.onnx", artifact::seal(model_bytes(), *artifact::parse_encryption_key(config_.origin.encryption_key)));
  }
  Result<ModelFile> open() { return open_model(config_, inference_, (path_ / "4/model.onnx").string()); }
  std::string why() {
    auto file = open();
    return file ? "it was taken" : file.error().detail;
  }

  fs::path path_;
  ModelConfig config_;
  InferenceConfig inference_;
  artifact::PrivateKey key_ = artifact::PrivateKey::generate();
};

TEST_F(ModelSource, PlainFilesAreHandedOnByName) {
  auto file = open();
  ASSERT_TRUE(file) << file.error().detail;
  EXPECT_EQ(file->bytes, nullptr);
  put("model.onnx", "junk");
  EXPECT_THAT(why(), HasSubstr("model.onnx: it is no ONNX file"));
  inference_.file_bytes_max = 3;
  EXPECT_EQ(open().error().code, Errc::out_of_range);
}

TEST_F(ModelSource, SignedFilesAreHandedOnAsTheBytesThatWereChecked) {
  sign("bearing", 4);
  auto file = open();
  ASSERT_TRUE(file) << file.error().detail;
  ASSERT_NE(file->bytes, nullptr);
  EXPECT_EQ(*file->bytes, model_bytes());
  put("model.onnx", model_bytes() + std::string("\x0a\x00", 2));
  EXPECT_EQ(open().error().code, Errc::permission_denied);
}

TEST_F(ModelSource, SignaturesAreOfOneModelAndVersion) {
  sign("pump", 4);
  EXPECT_THAT(why(), HasSubstr("signed as the model 'pump'"));
  sign("bearing", 3);
  EXPECT_THAT(why(), HasSubstr("signed as version 3, not 4"));
  sign("", 0);
  EXPECT_TRUE(open());
}

TEST_F(ModelSource, PolicyAsksForSignaturesOfAll) {
  inference_.require_signature = true;
  EXPECT_THAT(why(), HasSubstr("no signed_by"));
  config_.origin.signed_by = key_.public_pem();
  EXPECT_THAT(why(), HasSubstr("not signed"));
  sign("bearing", 4);
  EXPECT_TRUE(open());
}

TEST_F(ModelSource, EncryptedFilesNeedTheirKey) {
  encrypt();
  auto file = open();
  ASSERT_TRUE(file) << file.error().detail;
  EXPECT_EQ(*file->bytes, model_bytes());
  auto key = std::exchange(config_.origin.encryption_key, base::Secret());
  EXPECT_THAT(why(), HasSubstr("needs its encryption_key"));
  config_.origin.encryption_key = artifact::make_encryption_key();
  EXPECT_THAT(why(), HasSubstr("the key is another one"));
  config_.origin.encryption_key = key;
  put("model.onnx", model_bytes());
  EXPECT_THAT(why(), HasSubstr("it is not encrypted")) << "a plain file in the place of an encrypted one";
}

TEST_F(ModelSource, WhatIsEncryptedCanBeSigned) {
  encrypt();
  sign("bearing", 4);
  auto file = open();
  ASSERT_TRUE(file) << file.error().detail;
  EXPECT_EQ(*file->bytes, model_bytes());
}

TEST_F(ModelSource, WeightsBesideAreCheckedToo) {
  put("model.onnx", model_bytes("w.bin"));
  EXPECT_EQ(open().error().code, Errc::not_found);
  put("w.bin", std::string(16, 'w'));
  EXPECT_TRUE(open());
  sign("bearing", 4);
  auto file = open();
  ASSERT_TRUE(file) << file.error().detail;
  EXPECT_EQ(*file->beside.at("w.bin"), std::string(16, 'w'));
  put("w.bin", std::string(16, 'v'));
  EXPECT_THAT(why(), HasSubstr("w.bin: its bytes are not those that were signed"));
  config_.origin.signed_by.clear();
  fs::remove(path_ / "4/w.bin");
  fs::create_symlink("/etc/hostname", path_ / "4/w.bin");
  EXPECT_THAT(why(), HasSubstr("symbolic link"));
}

TEST_F(ModelSource, WhatComesWithARequestIsHeldToTheSame) {
  auto shared = [](std::string bytes) { return std::make_shared<const std::string>(std::move(bytes)); };
  GivenFiles files{{"model.onnx", shared(model_bytes())}};
  EXPECT_TRUE(open_given_model(config_, inference_, 4, files, "model.onnx"));
  sign("bearing", 4);
  auto unsigned_model = open_given_model(config_, inference_, 4, files, "model.onnx");
  ASSERT_FALSE(unsigned_model);
  EXPECT_THAT(unsigned_model.error().detail, HasSubstr("not signed"));
  for (const char* name : {"manifest.json", "manifest.sig"})
    files[name] = shared(*artifact::read_file(path_ / "4" / name, kMost));
  EXPECT_TRUE(open_given_model(config_, inference_, 4, files, "model.onnx"));
  files["model.onnx"] = shared(model_bytes() + std::string("\x0a\x00", 2));
  EXPECT_FALSE(open_given_model(config_, inference_, 4, files, "model.onnx"));
  EXPECT_FALSE(
      open_given_model(ModelConfig{}, inference_, 4, {{"model.onnx", shared(model_bytes("w.bin"))}}, "model.onnx"));
}

OriginConfig parsed(const std::string& yaml, std::string& report) {
  auto document = config::Document::parse(yaml, "test.yaml");
  config::Map map = document->root().map();
  OriginConfig origin = parse_origin(map);
  map.done();
  report = document->report();
  return origin;
}

TEST(OriginConfig, IsReadStrictly) {
  std::string report;
  std::string sum(64, 'A');
  auto origin =
      parsed("pull: [{ url: https://m.example/a.onnx, sha256: " + sum +
                 ", version: 3 }, { url: http://127.0.0.1:1/b, sha256: " + sum + ", authorization: Bearer x }]",
             report);
  EXPECT_EQ(report, "");
  ASSERT_EQ(origin.pull.size(), 2U);
  EXPECT_EQ(origin.pull[0].version, 3);
  EXPECT_EQ(origin.pull[1].version, 1);
  EXPECT_EQ(origin.pull[0].sha256, std::string(64, 'a'));
  for (const std::string& wrong :
       {std::string("pull: { url: https://m.example/a.onnx }"), "pull: { url: nothing, sha256: " + sum + " }",
        "pull: { url: https://user:pw@m.example/a, sha256: " + sum + " }",
        std::string("pull: { url: https://m.example/a, sha256: abc }"), std::string("pull: []"),
        "pull: [{ url: https://m.example/a, sha256: " + sum + " }, { url: https://m.example/b, sha256: " + sum + " }]",
        std::string("signed_by: me"), std::string("encryption_key: short")}) {
    parsed(wrong, report);
    EXPECT_NE(report, "") << wrong;
    EXPECT_THAT(report, testing::Not(HasSubstr("short"))) << "secrets are not repeated";
  }
}

}  // namespace
}  // namespace penstock::infer
