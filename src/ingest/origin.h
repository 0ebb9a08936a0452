// Names of samples that went a way of their own: what two pipelines, or two ways of a branch, make of one sample are
// two.
#pragma once

#include <memory>
#include <string>

#include "ingest/sample.h"

namespace penstock::ingest {

// Appends one suffix to the origins of samples. On one thread.
class OriginSuffix {
 public:
  // Gateways that send to each other in a circle would make it longer for ever: beyond this the sample loses its name.
  static constexpr std::size_t kOriginBytesMax = 512;

  explicit OriginSuffix(std::string suffix) : suffix_(std::move(suffix)) {}

  // A sample without a name stays so. Costs no memory while samples share their origin.
  void add_to(Sample& sample) {
    if (!sample.origin) return;
    if (sample.origin->size() + suffix_.size() > kOriginBytesMax) return sample.forget_name();
    if (sample.origin != from_) {
      if (!from_ || *from_ != *sample.origin) to_ = std::make_shared<const std::string>(*sample.origin + suffix_);
      from_ = std::move(sample.origin);
    }
    sample.origin = to_;
  }

 private:
  const std::string suffix_;
  std::shared_ptr<const std::string> from_;  // the last one
  std::shared_ptr<const std::string> to_;
};

}  // namespace penstock::ingest
