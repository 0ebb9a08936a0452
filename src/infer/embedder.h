// Turns texts into vectors with local models: tokens, runs of bounded size, pooling. `embed:` of a model says how.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "infer/engine.h"
#include "infer/text_model.h"
#include "rt/pool.h"
#include "rt/task.h"

namespace penstock::infer {

struct EmbedRequest {
  std::string model = {};
  std::vector<std::string> texts = {};                 // these, or
  std::vector<std::vector<std::int64_t>> tokens = {};  // tokens of the model, as it is to see them
  std::size_t dimensions = 0;                          // of each vector: its first so many; 0: all
  std::stop_token stop = {};                           // nobody waits any more
};

struct EmbedAnswer {
  std::string version = {};                      // that made all of it
  std::vector<std::vector<float>> vectors = {};  // in the order of the inputs
  std::int64_t tokens = 0;                       // those that the model saw, special ones included, fill-up not
};

// Any loop's thread.
class Embedder {
 public:
  // OpenAI's bound: more inputs are refused.
  static constexpr std::size_t kInputsMax = 2048;

  // Both outlive this.
  Embedder(Repository& repository, Engine& engine) : repository_(repository), engine_(engine) {}

  // Errors: invalid_argument for what is wrong with the inputs, failed_precondition and those of token::Tokenizer for a
  // model that cannot embed, and those of Engine::infer().
  rt::Task<Result<EmbedAnswer>> embed(rt::Loop& loop, EmbedRequest request, base::SteadyTime deadline);

  // Whether the model's version that is served now can embed: its inputs, outputs and tokenizer fit. Blocks for as long
  // as reading the tokenizer takes, which is then at hand for calls.
  Result<void> check(const std::string& model);

 private:
  struct Job;
  struct Known {
    std::weak_ptr<Served> served;
    std::shared_ptr<const TextModel> model;
  };

  std::shared_ptr<const TextModel> known(const std::shared_ptr<Served>& served);
  Result<std::shared_ptr<const TextModel>> open(const std::shared_ptr<Served>& served);
  rt::Task<Result<std::shared_ptr<Served>>> pick(rt::Loop& loop, const Request& wanted, base::SteadyTime deadline);
  rt::Task<Result<std::string>> run(rt::Loop& loop, Job& job, base::SteadyTime deadline);
  rt::Pool& pool();
  rt::Task<Result<void>> off_loop(rt::Loop& loop, std::function<Result<void>()> work);

  Repository& repository_;
  Engine& engine_;
  std::mutex mutex_;  // guards known_
  std::map<std::string, std::vector<Known>> known_;
  std::atomic<std::uint64_t> calls_{0};
  std::once_flag pool_once_;
  std::unique_ptr<rt::Pool> pool_;  // from the first call on
};

}  // namespace penstock::infer
