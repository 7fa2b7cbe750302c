#include <cstring>
#include <utility>

#include "bench/service/blocking_load.h"
#include "groupnorm/client.h"

namespace groupnorm::bench {

namespace {

class LibraryCaller final : public BlockingCaller {
 public:
  LibraryCaller(std::shared_ptr<Client> client, const ForwardCase& forward)
      : client_(std::move(client)),
        expected_(forward.response.output().data()),
        input_(forward.request.input().data()),
        output_(expected_.size(), '\0') {
    const auto& extents = forward.request.input().shape();
    const auto shape = Shape::Create(
        std::span(extents.data(), static_cast<std::size_t>(extents.size())));
    arguments_ = {.input = {DataType::kFloat32, *shape, input_.data()},
                  .num_groups = forward.request.config().num_groups()};
  }

  absl::Status Call() override {
    return client_->Forward(arguments_, {.output = output_.data()});
  }

  bool IsRight() const override { return output_ == expected_; }

 private:
  const std::shared_ptr<Client> client_;
  const std::string& expected_;
  std::string input_;
  std::string output_;
  ForwardArguments arguments_;
};

}  // namespace

std::unique_ptr<Load> MakeLibraryLoad(const std::string& address, int in_flight,
                                      const ForwardCase& forward) {
  const std::shared_ptr<Client> client =
      Client::Create({.address = address}).value();
  std::vector<std::unique_ptr<BlockingCaller>> callers;
  callers.reserve(static_cast<std::size_t>(in_flight));
  for (int i = 0; i < in_flight; ++i) {
    callers.push_back(std::make_unique<LibraryCaller>(client, forward));
  }
  return std::make_unique<BlockingLoad>(std::move(callers));
}

}  // namespace groupnorm::bench
