// What the mock provider does with sound and files: /v1/audio/... and /v1/files.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "http/exchange.h"

namespace penstock::mock {

// Uploaded files, in memory. Any thread.
class FileShelf {
 public:
  struct File {
    std::string name;
    std::string purpose;
    std::string bytes;
  };
  // The id, or empty when the shelf is full (64 MiB or 1,000 files).
  std::string add(File file);
  std::string describe(const std::string& id) const;  // as OpenAI's API describes a file; empty when there is none
  std::string describe_all() const;
  bool remove(const std::string& id);
  bool content(const std::string& id, std::string& bytes) const;

 private:
  static constexpr std::size_t kBytesMax = 64U << 20;
  static constexpr std::size_t kFilesMax = 1000;
  mutable std::mutex mutex_;  // guards the rest
  std::map<std::string, File> files_;
  std::size_t bytes_ = 0;
  std::uint64_t made_ = 0;
};

bool is_media(std::string_view path);
// Answers. An error when the client left or sent a broken body.
//   speech          as many bytes as the input says ("3000 bytes"), else 100 for each of its characters; events when
//                   stream_format is sse
//   transcriptions  the size and the CRC-32 of the file, and the model's name; a model mock-413 is refused as soon as
//   translations    its name was read
//   files           kept until the mock ends
rt::Task<Result<void>> answer_media(http::Exchange& exchange, FileShelf& shelf);

}  // namespace penstock::mock
