// One object of a tokenizer.json with its place in the file. Getters note the first mistake and go on with a default.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "json/value.h"

namespace penstock::token {

class JsonNode {
 public:
  // `defect` collects the first mistake: "normalizer.type: ...". Both outlive it; `value` may be null: absent.
  JsonNode(const json::Value* value, std::string path, std::string& defect)
      : value_(value), path_(std::move(path)), defect_(&defect) {}

  // Neither absent nor null.
  bool present() const { return value_ != nullptr && !value_->is_null(); }
  bool is_object() const { return present() && value_->is_object(); }
  const json::Value* value() const { return value_; }
  const std::string& path() const { return path_; }

  JsonNode child(std::string_view key) const;
  // The elements of a list; a mistake when it is there and is none.
  std::vector<JsonNode> items() const;
  // What "type" says; a mistake when it does not say it.
  std::string type() const;
  // Members; absent and null give the default.
  std::string text(std::string_view key, std::string_view otherwise = {}) const;
  bool flag(std::string_view key, bool otherwise) const;
  std::int64_t integer(std::string_view key, std::int64_t otherwise) const;

  // Notes a mistake here.
  void wrong(std::string_view what) const;
  bool sound() const { return defect_->empty(); }

 private:
  const json::Value* value_;
  std::string path_;
  std::string* defect_;
};

}  // namespace penstock::token
