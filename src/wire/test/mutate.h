// Random changes to messages of the corpus, the same ones in every run.
#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::wire {

class Mutator {
 public:
  Mutator(std::vector<std::string> corpus, unsigned seed) : corpus_(std::move(corpus)), random_(seed) {}

  std::string next() {
    std::string bytes = corpus_[pick(corpus_.size())];
    for (std::size_t change = 0; change <= pick(3) && !bytes.empty(); ++change) apply(bytes);
    return bytes;
  }

 private:
  std::size_t pick(std::size_t below) { return random_() % below; }

  char useful() {
    static constexpr char kBytes[] = "\r\n\r\n\t  ::;,=\"\\\0\x0b\x7f\x80\xff#%*_-+05aAfxHTP/.";
    static constexpr std::string_view kUseful(kBytes, sizeof kBytes - 1);
    return pick(4) == 0 ? static_cast<char>(random_()) : kUseful[pick(kUseful.size())];
  }

  void apply(std::string& bytes) {
    std::size_t at = pick(bytes.size());
    switch (pick(8)) {
      case 0: bytes[at] = useful(); break;
      case 1: bytes.insert(at, 1, useful()); break;
      case 2: bytes.erase(at, 1 + pick(3)); break;
      case 3: bytes[at] = static_cast<char>(bytes[at] ^ (1 << pick(8))); break;
      case 4: bytes[at] = static_cast<char>(bytes[at] ^ 0x20); break;
      case 5: bytes.insert(at, bytes.substr(pick(bytes.size()), pick(20))); break;
      case 6: bytes.insert(line_start(bytes, at), line()); break;
      default: {
        const std::string& other = corpus_[pick(corpus_.size())];
        bytes = bytes.substr(0, line_start(bytes, at)) + other.substr(line_start(other, pick(other.size())));
      }
    }
  }

  static std::size_t line_start(const std::string& bytes, std::size_t at) {
    std::size_t end = bytes.rfind('\n', at);
    return end == std::string::npos ? 0 : end + 1;
  }

  std::string line() {
    constexpr std::string_view kLines[] = {"Content-Length: 5\r\n",
                                           "Transfer-Encoding: chunked\r\n",
                                           "Connection: close\r\n",
                                           "Host: b\r\n",
                                           "X-Y:z\r\n",
                                           "Expect: 100-continue\r\n",
                                           "Connection: a, keep-alive ,b\r\n",
                                           "Trailer: x\r\n",
                                           "5\r\nhello\r\n",
                                           "Upgrade: x\r\n"};
    return std::string(kLines[pick(std::size(kLines))]);
  }

  std::vector<std::string> corpus_;
  std::mt19937 random_;
};

}  // namespace penstock::wire
