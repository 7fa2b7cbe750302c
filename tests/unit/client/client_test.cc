#include "groupnorm/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "groupnorm/v1/groupnorm.pb.h"
#include "tests/unit/client/example_calls.h"
#include "tests/unit/client/fake_server.h"

namespace groupnorm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ClientGetServerInfo, SaysWhatTheServerSays) {
  v1::GetServerInfoResponse response;
  response.set_version("1.2.3");
  response.set_max_message_bytes(1 << 20);
  response.add_dtypes(v1::DATA_TYPE_BFLOAT16);
  response.add_dtypes(static_cast<v1::DataType>(77));  // Of a later contract.
  response.add_dtypes(v1::DATA_TYPE_FLOAT32);
  response.set_workers(5);
  response.set_simd_target("AVX9");
  response.set_uptime_seconds(61);
  FakeServer server({.get_server_info = Answer(response)});
  const absl::StatusOr<ServerInfo> info =
      Connect(server.address())->GetServerInfo();
  ASSERT_EQ(info.status(), absl::OkStatus());
  EXPECT_EQ(info->version, "1.2.3");
  EXPECT_EQ(info->max_message_bytes, 1 << 20);
  EXPECT_THAT(info->dtypes,
              ElementsAre(DataType::kBfloat16, DataType::kFloat32));
  EXPECT_EQ(info->workers, 5);
  EXPECT_EQ(info->simd_target, "AVX9");
  EXPECT_EQ(info->uptime, absl::Seconds(61));
}

TEST(ClientGetServerInfo, IsInternalWhereTheResponseIsNoMessage) {
  FakeServer server({.get_server_info = [](const std::string&) {
    return std::string("\x0a\xff");
  }});
  EXPECT_EQ(Connect(server.address())->GetServerInfo().status(),
            absl::InternalError("response: not a valid GetServerInfoResponse"));
}

TEST(ClientGuards, RefuseNullPointersToElements) {
  FakeServer server({});
  const std::unique_ptr<Client> client = Connect(server.address());
  const TensorView null = {DataType::kFloat32, {2, 2}, nullptr};
  const auto expected = [](const std::string& name) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ".data: null, expected 16 bytes"));
  };
  ForwardMemory memory;
  const auto forward = [&](auto change) {
    ForwardArguments arguments = ForwardExample();
    change(arguments);
    return client->Forward(arguments, memory.results());
  };
  EXPECT_EQ(forward([&](auto& a) { a.input = null; }), expected("input"));
  EXPECT_EQ(forward([&](auto& a) { a.weight = null; }), expected("weight"));
  EXPECT_EQ(forward([&](auto& a) { a.bias = null; }), expected("bias"));
  EXPECT_EQ(forward([&](auto& a) {
              a.statistics = {null, a.input};
            }),
            expected("statistics.mean"));
  EXPECT_EQ(forward([&](auto& a) {
              a.statistics = {a.input, null};
            }),
            expected("statistics.rstd"));
  BackwardMemory gradients;
  const auto backward = [&](auto change) {
    BackwardArguments arguments = BackwardExample();
    change(arguments);
    return client->Backward(arguments, gradients.results());
  };
  EXPECT_EQ(backward([&](auto& a) { a.grad_output = null; }),
            expected("grad_output"));
  EXPECT_EQ(backward([&](auto& a) { a.input = null; }), expected("input"));
  EXPECT_EQ(backward([&](auto& a) { a.weight = null; }), expected("weight"));
  EXPECT_EQ(backward([&](auto& a) {
              a.statistics = {null, a.input};
            }),
            expected("statistics.mean"));
}

TEST(ClientGuards, RefuseTensorsThatNoMessageCanHold) {
  FakeServer server({});
  const std::unique_ptr<Client> client = Connect(server.address());
  // Refused by its size: the elements are not looked at.
  const TensorView half = {DataType::kFloat32, {1, 1 << 28}, kInput.data()};
  ForwardMemory memory;
  EXPECT_EQ(client
                ->Forward({.input = half, .num_groups = 1, .weight = half},
                          memory.results())
                .code(),
            absl::StatusCode::kResourceExhausted);
  TensorView largest = half;
  largest.shape = {std::int64_t{1} << 59};
  const absl::Status status = client->Forward(
      {.input = largest, .num_groups = 1, .weight = largest, .bias = largest},
      memory.results());
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("which no message can hold"));
}

TEST(ClientBackward, RefusesToAskForNothing) {
  FakeServer server({.backward = Answer(RightBackwardResponse())});
  EXPECT_EQ(Connect(server.address())->Backward(BackwardExample(), {}),
            absl::InvalidArgumentError("results: all null, expected memory "
                                       "for at least one gradient"));
}

TEST(ClientThreads, ShareOneClient) {
  FakeServer server({.forward = Answer(RightForwardResponse()),
                     .backward = Answer(RightBackwardResponse())});
  const std::unique_ptr<Client> client = Connect(server.address());
  constexpr int kThreads = 4;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&] {
      for (int call = 0; call < 20; ++call) {
        ForwardMemory memory;
        EXPECT_EQ(client->Forward(ForwardExample(), memory.results()),
                  absl::OkStatus());
        EXPECT_THAT(memory.output, ElementsAre(1, 2, 3, 4));
        std::vector<float> grad_input(4);
        EXPECT_EQ(client->Backward(BackwardExample(),
                                   {.grad_input = grad_input.data()}),
                  absl::OkStatus());
        EXPECT_THAT(grad_input, ElementsAre(5, 6, 7, 8));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace groupnorm
