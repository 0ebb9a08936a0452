// What is around: the values of ${PENSTOCK_FOUND_...} in a configuration. Nothing is looked for unless it is named.
#pragma once

#include <memory>
#include <string>

#include "config/document.h"
#include "mock/server.h"
#include "rt/cores.h"

namespace penstock::app {

// PENSTOCK_FOUND_LLM        in words: where the language model was found
// PENSTOCK_FOUND_LLM_TYPE   the type of provider it is
// PENSTOCK_FOUND_LLM_URL    its base URL
// PENSTOCK_FOUND_LLM_KEY    its API key ("none" when it takes none)
// PENSTOCK_FOUND_LLM_MODEL  the model to ask for
//   A provider key in the environment, else Ollama or llama-server on this machine, else a simulation in this process.
// PENSTOCK_FOUND_KEY        a gateway key made at the first start and kept in <data_dir>/demo.key
// Everything else comes from the process's environment.
class Surroundings {
 public:
  explicit Surroundings(std::string data_dir) : data_dir_(std::move(data_dir)) {}
  ~Surroundings();
  // For Document::load(); this must outlive the document.
  config::Environment environment();
  bool simulated() const { return mock_ != nullptr; }
  const std::string& llm() const { return llm_; }
  const std::string& llm_model() const { return llm_model_; }
  const std::string& key() const { return key_; }

 private:
  const char* look_up(const std::string& name);
  void find_llm();
  void start_simulation();
  void find_key();

  std::string data_dir_;
  std::string llm_, llm_url_, llm_key_, llm_model_;
  std::string llm_type_ = "openai";
  std::string key_;
  std::unique_ptr<rt::LoopThread> mock_thread_;
  std::unique_ptr<mock::Server> mock_;
};

}  // namespace penstock::app
