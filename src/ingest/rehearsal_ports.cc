#include "ingest/rehearsal_ports.h"

namespace penstock::ingest {

RehearsalPorts::RehearsalPorts(const Context& real, std::optional<std::string> llm, std::function<void()> answered)
    : real_(real), told_(std::move(answered)) {
  models_.real = real.models;
  answers_.answer = std::move(llm);
  models_.owner = writes_.owner = posts_.owner = answers_.owner = this;
}

void RehearsalPorts::answered() {
  --under_way_;
  told_();
}

Context RehearsalPorts::context() {
  Context context = real_;
  context.clock = &clock_;
  if (models_.real != nullptr) context.models = &models_;
  context.writes = &writes_;
  context.http = &posts_;
  context.llm = &answers_;
  context.state = &memory_;
  context.data_dir.clear();
  return context;
}

void RehearsalPorts::Models::infer(rt::Loop& loop, const std::string& model, std::vector<NamedArray> inputs,
                                   base::Duration timeout, std::function<void(Result<std::vector<NamedArray>>)> done) {
  ++owner->under_way_;
  real->infer(loop, model, std::move(inputs), timeout, [this, done = std::move(done)](auto answer) {
    done(std::move(answer));
    owner->answered();
  });
}

void RehearsalPorts::Writes::write(rt::Loop& loop, PointWrite write, std::function<void(Result<Value>)> done) {
  ++owner->under_way_;
  made.push_back(write);
  loop.post([this, value = std::move(write.value), done = std::move(done)] {
    done(value);
    owner->answered();
  });
}

// Nothing is in doubt where every write is confirmed at once.
void RehearsalPorts::Writes::read(rt::Loop& loop, PointRead read, std::function<void(Result<Value>)> done) {
  loop.post([point = std::move(read.point), done = std::move(done)] {
    done(fail(Errc::unimplemented, fmt::format("nobody reads '{}' in a test", point)));
  });
}

void RehearsalPorts::Posts::post(rt::Loop& loop, HttpPost request, std::function<void(Result<int>)> done) {
  ++owner->under_way_;
  made.push_back(std::move(request));
  loop.post([this, done = std::move(done)] {
    done(200);
    owner->answered();
  });
}

void RehearsalPorts::Answers::ask(rt::Loop& loop, LlmQuestion question, std::function<void(Result<std::string>)> done) {
  ++owner->under_way_;
  loop.post([this, model = std::move(question.model), done = std::move(done)] {
    if (answer) {
      done(*answer);
    } else {
      done(fail(Errc::unavailable,
                fmt::format("no language model is asked in a test; write llm: \"what '{}' answers\" into it", model)));
    }
    owner->answered();
  });
}

std::optional<std::string> RehearsalPorts::Memory::get(const std::string& key) const {
  auto found = values.find(key);
  return found == values.end() ? std::nullopt : std::optional(found->second);
}

void RehearsalPorts::Memory::put(std::string key, std::string value, Kept kept) {
  values.insert_or_assign(std::move(key), std::move(value));
  if (kept) kept({});
}

}  // namespace penstock::ingest
