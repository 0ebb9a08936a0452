#include "infer/embedder.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "rt/await.h"

namespace penstock::infer {
namespace {

// What a loop does itself: some 100 µs of tokenizing, or of pooling.
constexpr std::size_t kShortBytes = 1024;
constexpr std::size_t kShortNumbers = 100'000;

}  // namespace

// One call with one version: what its inputs are in tokens, and the vectors so far.
struct Embedder::Job {
  const EmbedRequest& request;
  std::string version;  // asked for; empty: as the model's traffic is split
  std::string sticky;   // so that all runs and the tokenizer are of the same version
  std::shared_ptr<Served> served = {};
  std::shared_ptr<const TextModel> model = {};
  std::vector<TokenRow> rows = {};
  std::vector<std::size_t> order = {};  // by length: rows of one run are about as long as each other
  std::vector<std::vector<float>> vectors = {};

  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const std::string& text : request.texts) sum += text.size();
    for (const auto& tokens : request.tokens) sum += tokens.size();
    return sum;
  }
  Result<void> read();
  std::vector<const TokenRow*> batch(std::size_t begin) const;
  Result<void> take(const Tensor& output, std::size_t begin, std::span<const TokenRow* const> batch);
  Request wanted() const {
    return {.model = request.model, .version = version, .sticky = sticky, .stop = request.stop};
  }
};

Result<void> Embedder::Job::read() {
  std::size_t count = request.texts.size() + request.tokens.size();
  rows.clear();
  for (std::size_t i = 0; i < count; ++i) {
    if (request.stop.stop_requested()) return fail(Errc::cancelled, "nobody waits any more");
    std::string name = count == 1 ? "the input" : fmt::format("input[{}]", i);
    bool text = i < request.texts.size();
    auto row = text ? model->read(request.texts[i], name) : model->read(request.tokens[i - request.texts.size()], name);
    if (!row) return std::unexpected(std::move(row.error()));
    rows.push_back(std::move(*row));
  }
  order.resize(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [this](std::size_t i) { return std::pair(rows[i].ids.size(), i); });
  vectors.resize(count);
  return {};
}

// The next rows of a run, the longest of which is the last.
std::vector<const TokenRow*> Embedder::Job::batch(std::size_t begin) const {
  std::vector<const TokenRow*> batch;
  for (std::size_t i = begin; i < order.size(); ++i) {
    const TokenRow& row = rows[order[i]];
    if (!batch.empty() && batch.size() >= model->rows_max(row.ids.size())) break;
    batch.push_back(&row);
  }
  return batch;
}

Result<void> Embedder::Job::take(const Tensor& output, std::size_t begin, std::span<const TokenRow* const> batch) {
  auto made = model->pool(output, batch, request.dimensions);
  if (!made) return std::unexpected(std::move(made.error()));
  for (std::size_t i = 0; i < made->size(); ++i) vectors[order[begin + i]] = std::move((*made)[i]);
  return {};
}

std::shared_ptr<const TextModel> Embedder::known(const std::shared_ptr<Served>& served) {
  std::lock_guard lock(mutex_);
  auto found = known_.find(served->name);
  if (found == known_.end()) return nullptr;
  for (const Known& known : found->second) {
    if (known.served.lock() == served) return known.model;
  }
  return nullptr;
}

Result<std::shared_ptr<const TextModel>> Embedder::open(const std::shared_ptr<Served>& served) {
  if (auto there = known(served)) return there;
  auto opened = TextModel::open(*served);
  if (!opened) return opened;
  std::lock_guard lock(mutex_);
  for (auto model = known_.begin(); model != known_.end();) {
    std::erase_if(model->second, [](const Known& known) { return known.served.expired(); });
    model = model->second.empty() ? known_.erase(model) : std::next(model);
  }
  known_[served->name].push_back({served, *opened});
  return opened;
}

Result<void> Embedder::check(const std::string& model) {
  auto served = repository_.find(model, "");
  if (!served) return std::unexpected(std::move(served.error()));
  auto opened = open(*served);
  if (!opened) return std::unexpected(std::move(opened.error()));
  return {};
}

rt::Pool& Embedder::pool() {
  std::call_once(pool_once_, [this] { pool_ = std::make_unique<rt::Pool>("embed", 1, 256); });
  return *pool_;
}

rt::Task<Result<void>> Embedder::off_loop(rt::Loop& loop, std::function<Result<void>()> work) {
  using Waiting = rt::Callback<Result<void>>;
  Waiting waiting(loop, [&](Waiting::Done done) {
    if (auto taken = pool().run(loop, work, done); !taken) done(std::unexpected(std::move(taken.error())));
  });
  co_return co_await waiting;
}

rt::Task<Result<std::shared_ptr<Served>>> Embedder::pick(rt::Loop& loop, const Request& wanted,
                                                         base::SteadyTime deadline) {
  auto picked = repository_.pick(wanted);
  if (!picked && picked.error().code == Errc::unavailable) {
    using Waiting = rt::Callback<Result<void>>;
    Waiting waiting(loop, [&](Waiting::Done done) {
      if (!repository_.when_loaded(loop, wanted, deadline, done)) done(std::unexpected(picked.error()));
    });
    auto loaded = co_await waiting;
    if (!loaded) co_return std::unexpected(std::move(loaded.error()));
    picked = repository_.pick(wanted);
  }
  if (!picked) co_return std::unexpected(std::move(picked.error()));
  co_return std::move(picked->served);
}

// The version that answered. Only the first run goes where the model's traffic is led; the others follow it, and when
// that was another version than the one the tokens are for, nothing of it is taken.
rt::Task<Result<std::string>> Embedder::run(rt::Loop& loop, Job& job, base::SteadyTime deadline) {
  std::string answered;
  for (std::size_t begin = 0; begin < job.order.size();) {
    auto batch = job.batch(begin);
    Request request = job.wanted();
    if (!answered.empty()) request.version = answered;
    request.inputs = job.model->inputs(batch);
    request.outputs = {job.model->output()};
    using Waiting = rt::Callback<Result<Response>>;
    Waiting waiting(loop,
                    [&](Waiting::Done done) { engine_.infer(loop, std::move(request), deadline, std::move(done)); });
    auto response = co_await waiting;
    if (!response) co_return std::unexpected(std::move(response.error()));
    if (job.request.stop.stop_requested()) co_return fail(Errc::cancelled, "nobody waits any more");
    answered = response->version;
    if (answered != job.served->version) co_return answered;
    const Tensor& output = response->outputs.front();
    Result<void> taken;
    if (output.elements() <= kShortNumbers) {
      taken = job.take(output, begin, batch);
    } else {
      std::function<Result<void>()> work = [&] { return job.take(output, begin, batch); };
      taken = co_await off_loop(loop, std::move(work));
    }
    if (!taken) co_return std::unexpected(std::move(taken.error()));
    begin += batch.size();
    if (begin < job.order.size()) co_await rt::Yield(loop);
  }
  co_return answered;
}

rt::Task<Result<EmbedAnswer>> Embedder::embed(rt::Loop& loop, EmbedRequest request, base::SteadyTime deadline) {
  std::size_t count = request.texts.size() + request.tokens.size();
  if (count == 0) co_return fail(Errc::invalid_argument, "there is no input");
  if (count > kInputsMax)
    co_return fail(Errc::invalid_argument,
                   fmt::format("there are {} inputs; at most {} are taken in one call", count, kInputsMax));
  Job job{.request = request, .version = {}, .sticky = fmt::format("embed-{}", calls_.fetch_add(1))};
  // Twice: where another version stepped in, its tokenizer decides.
  for (int attempt = 0; attempt < 2; ++attempt) {
    Request wanted = job.wanted();
    auto served = co_await pick(loop, wanted, deadline);
    if (!served) co_return std::unexpected(std::move(served.error()));
    job.served = std::move(*served);
    job.model = known(job.served);
    Result<void> ready;
    if (job.model && job.bytes() <= kShortBytes) {
      ready = job.read();
    } else {
      std::function<Result<void>()> work = [this, &job]() -> Result<void> {
        auto opened = open(job.served);
        if (!opened) return std::unexpected(std::move(opened.error()));
        job.model = std::move(*opened);
        return job.read();
      };
      ready = co_await off_loop(loop, std::move(work));
    }
    if (!ready) co_return std::unexpected(std::move(ready.error()));
    auto version = co_await run(loop, job, deadline);
    if (!version) co_return std::unexpected(std::move(version.error()));
    if (*version == job.served->version) {
      EmbedAnswer answer{.version = std::move(*version), .vectors = std::move(job.vectors)};
      for (const TokenRow& row : job.rows) answer.tokens += static_cast<std::int64_t>(row.ids.size());
      co_return answer;
    }
    job.version = std::move(*version);
  }
  co_return fail(Errc::unavailable,
                 fmt::format("the versions of the model '{}' are changing; try again", request.model));
}

}  // namespace penstock::infer
