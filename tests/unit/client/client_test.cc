#include "groupnorm/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "groupnorm/v1/groupnorm.pb.h"
#include "tests/unit/client/fake_server.h"

namespace groupnorm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A client that gives up late: no test but those of the deadline waits for it.
std::unique_ptr<Client> Connect(const std::string& address,
                                absl::Duration timeout = absl::Minutes(2)) {
  auto client = Client::Create({.address = address, .timeout = timeout});
  EXPECT_EQ(client.status(), absl::OkStatus());
  return *std::move(client);
}

template <typename T>
v1::Tensor MakeTensor(v1::DataType dtype, std::vector<std::int64_t> shape,
                      const std::vector<T>& values) {
  v1::Tensor tensor;
  tensor.set_dtype(dtype);
  tensor.mutable_shape()->Add(shape.begin(), shape.end());
  tensor.set_data(values.data(), values.size() * sizeof(T));
  return tensor;
}

/// What a right server could answer to Example().
v1::ForwardResponse RightForwardResponse() {
  v1::ForwardResponse response;
  *response.mutable_statistics()->mutable_mean() =
      MakeTensor<double>(v1::DATA_TYPE_FLOAT64, {2, 1}, {0.5, 1.5});
  *response.mutable_statistics()->mutable_rstd() =
      MakeTensor<double>(v1::DATA_TYPE_FLOAT64, {2, 1}, {2.5, 3.5});
  *response.mutable_output() =
      MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {2, 2}, {1, 2, 3, 4});
  return response;
}

v1::BackwardResponse RightBackwardResponse() {
  v1::BackwardResponse response;
  *response.mutable_grad_weight() =
      MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {2}, {1, 2});
  *response.mutable_grad_bias() =
      MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {2}, {3, 4});
  *response.mutable_grad_input() =
      MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {2, 2}, {5, 6, 7, 8});
  return response;
}

FakeServer::Method Answer(const google::protobuf::MessageLite& response) {
  return [bytes = response.SerializeAsString()](const std::string&) {
    return bytes;
  };
}

const std::vector<float> kInput = {10, 20, 30, 40};

ForwardArguments ForwardExample() {
  return {.input = {DataType::kFloat32, {2, 2}, kInput.data()},
          .num_groups = 1};
}

BackwardArguments BackwardExample() {
  return {.grad_output = {DataType::kFloat32, {2, 2}, kInput.data()},
          .input = {DataType::kFloat32, {2, 2}, kInput.data()},
          .num_groups = 1};
}

/// Memory for every result of ForwardExample.
struct ForwardMemory {
  std::vector<float> output = std::vector<float>(4);
  std::vector<double> mean = std::vector<double>(2);
  std::vector<double> rstd = std::vector<double>(2);

  ForwardResults results() {
    return {.output = output.data(), .mean = mean.data(), .rstd = rstd.data()};
  }
};

/// Memory for every result of BackwardExample, also per sample.
struct BackwardMemory {
  std::vector<float> grad_input = std::vector<float>(4);
  std::vector<double> grad_weight = std::vector<double>(4);
  std::vector<double> grad_bias = std::vector<double>(4);

  BackwardResults results() {
    return {.grad_input = grad_input.data(),
            .grad_weight = grad_weight.data(),
            .grad_bias = grad_bias.data()};
  }
};

/// A directory that is removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(::testing::TempDir() + "/client-XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }

  std::string unix_address() const {
    return absl::StrCat("unix:", path_, "/socket");
  }

 private:
  std::string path_;
};

/// A port of the loopback interface that nobody listens on nor can take.
class ClosedPort {
 public:
  ClosedPort() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(name);
    auto* const generic = reinterpret_cast<sockaddr*>(&name);
    EXPECT_EQ(bind(socket_, generic, size), 0);
    EXPECT_EQ(getsockname(socket_, generic, &size), 0);
    port_ = ntohs(name.sin_port);
  }
  ~ClosedPort() { close(socket_); }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

 private:
  int socket_;
  int port_ = 0;
};

/// Breaks every connection that this process has accepted on a port, as the end
/// of the server's process would.
void CutConnections(int port) {
  for (int descriptor = 0; descriptor < 1024; ++descriptor) {
    sockaddr_in own{}, peer{};
    socklen_t size = sizeof(own);
    if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &size) != 0)
      continue;
    size = sizeof(peer);
    const bool connected =
        getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
    if (connected && ntohs(own.sin_port) == port) {
      shutdown(descriptor, SHUT_RDWR);
    }
  }
}

TEST(ClientForward, WritesEveryResultToTheCallersMemory) {
  FakeServer server({.forward = Answer(RightForwardResponse())});
  ForwardMemory memory;
  EXPECT_EQ(
      Connect(server.address())->Forward(ForwardExample(), memory.results()),
      absl::OkStatus());
  EXPECT_THAT(memory.output, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(memory.mean, ElementsAre(0.5, 1.5));
  EXPECT_THAT(memory.rstd, ElementsAre(2.5, 3.5));
}

TEST(ClientForward, LeavesOutWhatIsNotWanted) {
  FakeServer server({.forward = Answer(RightForwardResponse())});
  ForwardMemory memory;
  EXPECT_EQ(Connect(server.address())
                ->Forward(ForwardExample(), {.rstd = memory.rstd.data()}),
            absl::OkStatus());
  EXPECT_THAT(memory.rstd, ElementsAre(2.5, 3.5));
}

TEST(ClientForward, SendsEveryArgument) {
  v1::ForwardRequest received;
  FakeServer server({.forward = [&](const std::string& request) {
    EXPECT_TRUE(received.ParseFromString(request));
    return RightForwardResponse().SerializeAsString();
  }});
  const std::vector<double> weight = {1, 2}, bias = {3, 4}, mean = {5, 6},
                            rstd = {7, 8};
  ForwardArguments arguments = ForwardExample();
  arguments.epsilon = 0.25;
  arguments.layout = Layout::kChannelsLast;
  arguments.weight = {DataType::kFloat64, {2}, weight.data()};
  arguments.bias = {DataType::kFloat64, {2}, bias.data()};
  arguments.statistics = {{DataType::kFloat64, {2, 1}, mean.data()},
                          {DataType::kFloat64, {2, 1}, rstd.data()}};
  ForwardMemory memory;
  EXPECT_EQ(Connect(server.address())->Forward(arguments, memory.results()),
            absl::OkStatus());

  v1::ForwardRequest expected;
  expected.mutable_config()->set_num_groups(1);
  expected.mutable_config()->set_epsilon(0.25);
  expected.mutable_config()->set_layout(v1::LAYOUT_CHANNELS_LAST);
  *expected.mutable_weight() = MakeTensor(v1::DATA_TYPE_FLOAT64, {2}, weight);
  *expected.mutable_bias() = MakeTensor(v1::DATA_TYPE_FLOAT64, {2}, bias);
  *expected.mutable_statistics()->mutable_mean() =
      MakeTensor(v1::DATA_TYPE_FLOAT64, {2, 1}, mean);
  *expected.mutable_statistics()->mutable_rstd() =
      MakeTensor(v1::DATA_TYPE_FLOAT64, {2, 1}, rstd);
  *expected.mutable_input() = MakeTensor(v1::DATA_TYPE_FLOAT32, {2, 2}, kInput);
  EXPECT_EQ(received.SerializeAsString(), expected.SerializeAsString());
}

TEST(ClientForward, ReceivesMoreThanGrpcAllowsByDefault) {
  constexpr std::int64_t kValues = 3 << 20;
  std::vector<float> values(kValues);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i);
  }
  v1::ForwardResponse response = RightForwardResponse();
  *response.mutable_output() =
      MakeTensor(v1::DATA_TYPE_FLOAT32, {2, kValues / 2}, values);
  FakeServer server({.forward = Answer(response)});
  std::vector<float> output(kValues);
  EXPECT_EQ(
      Connect(server.address())
          ->Forward(
              {.input = {DataType::kFloat32, {2, kValues / 2}, values.data()},
               .num_groups = 1},
              {.output = output.data()}),
      absl::OkStatus());
  EXPECT_EQ(output, values);
}

TEST(ClientForward, AnswersTensorsWithoutElements) {
  v1::ForwardResponse response;
  for (v1::Tensor* const tensor :
       {response.mutable_statistics()->mutable_mean(),
        response.mutable_statistics()->mutable_rstd()}) {
    *tensor = MakeTensor<double>(v1::DATA_TYPE_FLOAT64, {0, 1}, {});
  }
  *response.mutable_output() =
      MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {0, 2}, {});
  FakeServer server({.forward = Answer(response)});
  ForwardMemory memory;
  EXPECT_EQ(Connect(server.address())
                ->Forward({.input = {DataType::kFloat32, {0, 2}, nullptr},
                           .num_groups = 1},
                          memory.results()),
            absl::OkStatus());
}

struct WrongForward {
  const char* name;
  void (*spoil)(v1::ForwardResponse&);
  const char* message;
};

class ClientForwardOfWrongResponse
    : public ::testing::TestWithParam<WrongForward> {};

TEST_P(ClientForwardOfWrongResponse, IsInternal) {
  v1::ForwardResponse response = RightForwardResponse();
  GetParam().spoil(response);
  FakeServer server({.forward = Answer(response)});
  ForwardMemory memory;
  const absl::Status status =
      Connect(server.address())->Forward(ForwardExample(), memory.results());
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    EveryTensor, ClientForwardOfWrongResponse,
    ::testing::Values(
        WrongForward{"OutputDtype",
                     [](v1::ForwardResponse& response) {
                       *response.mutable_output() = MakeTensor<double>(
                           v1::DATA_TYPE_FLOAT64, {2, 2}, {1, 2, 3, 4});
                     },
                     "response.output: FLOAT64 [2, 2], expected FLOAT32 [2, "
                     "2]"},
        WrongForward{"OutputShapeOfTheSameSize",
                     [](v1::ForwardResponse& response) {
                       *response.mutable_output() = MakeTensor<float>(
                           v1::DATA_TYPE_FLOAT32, {4, 1}, {1, 2, 3, 4});
                     },
                     "response.output: FLOAT32 [4, 1], expected FLOAT32 [2, "
                     "2]"},
        WrongForward{"OutputTooLarge",
                     [](v1::ForwardResponse& response) {
                       *response.mutable_output() = MakeTensor<float>(
                           v1::DATA_TYPE_FLOAT32, {2, 3}, {1, 2, 3, 4, 5, 6});
                     },
                     "response.output: FLOAT32 [2, 3], expected FLOAT32 [2, "
                     "2]"},
        WrongForward{"OutputDataCutOff",
                     [](v1::ForwardResponse& response) {
                       response.mutable_output()->mutable_data()->pop_back();
                     },
                     "output"},
        WrongForward{
            "OutputMissing",
            [](v1::ForwardResponse& response) { response.clear_output(); },
            "output"},
        WrongForward{"MeanDtype",
                     [](v1::ForwardResponse& response) {
                       *response.mutable_statistics()->mutable_mean() =
                           MakeTensor<float>(v1::DATA_TYPE_FLOAT32, {2, 1},
                                             {1, 2});
                     },
                     "statistics.mean.dtype: FLOAT32, expected FLOAT64"},
        WrongForward{"RstdShape",
                     [](v1::ForwardResponse& response) {
                       *response.mutable_statistics()->mutable_rstd() =
                           MakeTensor<double>(v1::DATA_TYPE_FLOAT64, {2, 2},
                                              {1, 2, 3, 4});
                     },
                     "response.statistics.rstd: FLOAT64 [2, 2], expected "
                     "FLOAT64 [2, 1]"},
        WrongForward{
            "StatisticsMissing",
            [](v1::ForwardResponse& response) { response.clear_statistics(); },
            "statistics"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(ClientForward, IsInternalWhereTheResponseIsNoMessage) {
  FakeServer server(
      {.forward = [](const std::string&) { return std::string("\x7a\xff"); }});
  ForwardMemory memory;
  const absl::Status status =
      Connect(server.address())->Forward(ForwardExample(), memory.results());
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("ForwardResponse"));
}

TEST(ClientForward, DoesNotTrustAServerThatAcceptsWhatHasNoChannels) {
  FakeServer server({.forward = Answer(RightForwardResponse()),
                     .backward = Answer(RightBackwardResponse())});
  const std::unique_ptr<Client> client = Connect(server.address());
  const TensorView scalar = {DataType::kFloat32, {}, kInput.data()};
  ForwardMemory memory;
  EXPECT_EQ(
      client->Forward({.input = scalar, .num_groups = -3}, memory.results())
          .code(),
      absl::StatusCode::kInternal);
  BackwardMemory gradients;
  EXPECT_EQ(client
                ->Backward({.grad_output = scalar, .input = scalar},
                           gradients.results())
                .code(),
            absl::StatusCode::kInternal);
}

TEST(ClientBackward, WritesEveryResultToTheCallersMemory) {
  FakeServer server({.backward = Answer(RightBackwardResponse())});
  std::vector<float> grad_input(4), grad_weight(2), grad_bias(2);
  EXPECT_EQ(
      Connect(server.address())
          ->Backward(BackwardExample(), {.grad_input = grad_input.data(),
                                         .grad_weight = grad_weight.data(),
                                         .grad_bias = grad_bias.data()}),
      absl::OkStatus());
  EXPECT_THAT(grad_weight, ElementsAre(1, 2));
  EXPECT_THAT(grad_bias, ElementsAre(3, 4));
  EXPECT_THAT(grad_input, ElementsAre(5, 6, 7, 8));
}

TEST(ClientBackward, SendsEveryArgument) {
  v1::BackwardRequest received;
  v1::BackwardResponse response;
  *response.mutable_grad_bias() =
      MakeTensor<double>(v1::DATA_TYPE_FLOAT64, {2, 2}, {1, 2, 3, 4});
  FakeServer server({.backward = [&](const std::string& request) {
    EXPECT_TRUE(received.ParseFromString(request));
    return response.SerializeAsString();
  }});
  const std::vector<double> weight = {1, 2}, mean = {5, 6}, rstd = {7, 8};
  const std::vector<float> grad_output = {-1, -2, -3, -4};
  BackwardArguments arguments = BackwardExample();
  arguments.grad_output.data = grad_output.data();
  arguments.epsilon = 0.25;
  arguments.layout = Layout::kChannelsLast;
  arguments.weight = {DataType::kFloat64, {2}, weight.data()};
  arguments.statistics = {{DataType::kFloat64, {2, 1}, mean.data()},
                          {DataType::kFloat64, {2, 1}, rstd.data()}};
  arguments.frozen_statistics = true;
  arguments.per_sample_gradients = true;
  BackwardMemory memory;
  EXPECT_EQ(Connect(server.address())
                ->Backward(arguments, {.grad_bias = memory.grad_bias.data()}),
            absl::OkStatus());
  EXPECT_THAT(memory.grad_bias, ElementsAre(1, 2, 3, 4));

  v1::BackwardRequest expected;
  expected.mutable_config()->set_num_groups(1);
  expected.mutable_config()->set_epsilon(0.25);
  expected.mutable_config()->set_layout(v1::LAYOUT_CHANNELS_LAST);
  *expected.mutable_weight() = MakeTensor(v1::DATA_TYPE_FLOAT64, {2}, weight);
  *expected.mutable_statistics()->mutable_mean() =
      MakeTensor(v1::DATA_TYPE_FLOAT64, {2, 1}, mean);
  *expected.mutable_statistics()->mutable_rstd() =
      MakeTensor(v1::DATA_TYPE_FLOAT64, {2, 1}, rstd);
  expected.add_gradients(v1::GRADIENT_BIAS);
  expected.set_frozen_statistics(true);
  expected.set_per_sample_gradients(true);
  *expected.mutable_grad_output() =
      MakeTensor(v1::DATA_TYPE_FLOAT32, {2, 2}, grad_output);
  *expected.mutable_input() = MakeTensor(v1::DATA_TYPE_FLOAT32, {2, 2}, kInput);
  EXPECT_EQ(received.SerializeAsString(), expected.SerializeAsString());
}

struct WrongBackward {
  const char* name;
  bool per_sample_gradients;
  void (*spoil)(v1::BackwardResponse&);
  const char* message;
};

class ClientBackwardOfWrongResponse
    : public ::testing::TestWithParam<WrongBackward> {};

TEST_P(ClientBackwardOfWrongResponse, IsInternal) {
  v1::BackwardResponse response = RightBackwardResponse();
  GetParam().spoil(response);
  FakeServer server({.backward = Answer(response)});
  BackwardArguments arguments = BackwardExample();
  arguments.per_sample_gradients = GetParam().per_sample_gradients;
  BackwardMemory memory;
  const absl::Status status =
      Connect(server.address())->Backward(arguments, memory.results());
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(std::string(status.message()), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    EveryTensor, ClientBackwardOfWrongResponse,
    ::testing::Values(
        WrongBackward{"GradWeightNotPerSample", true,
                      [](v1::BackwardResponse&) {},
                      "response.grad_weight: FLOAT32 [2], expected FLOAT64 "
                      "[2, 2]"},
        WrongBackward{"GradWeightDtype", false,
                      [](v1::BackwardResponse& response) {
                        *response.mutable_grad_weight() = MakeTensor<double>(
                            v1::DATA_TYPE_FLOAT64, {2}, {1, 2});
                      },
                      "response.grad_weight: FLOAT64 [2], expected FLOAT32 "
                      "[2]"},
        WrongBackward{
            "GradBiasMissing", false,
            [](v1::BackwardResponse& response) { response.clear_grad_bias(); },
            "response.grad_bias: missing, expected FLOAT32 [2]"},
        WrongBackward{
            "GradInputMissing", false,
            [](v1::BackwardResponse& response) { response.clear_grad_input(); },
            "response.grad_input: missing, expected FLOAT32 [2, 2]"},
        WrongBackward{"GradInputShape", false,
                      [](v1::BackwardResponse& response) {
                        *response.mutable_grad_input() = MakeTensor<float>(
                            v1::DATA_TYPE_FLOAT32, {2, 1}, {1, 2});
                      },
                      "response.grad_input: FLOAT32 [2, 1], expected FLOAT32 "
                      "[2, 2]"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(ClientBackward, RefusesToAskForNothing) {
  FakeServer server({.backward = Answer(RightBackwardResponse())});
  EXPECT_EQ(Connect(server.address())->Backward(BackwardExample(), {}),
            absl::InvalidArgumentError("results: all null, expected memory "
                                       "for at least one gradient"));
}

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

TEST(ClientErrors, KeepTheServersCodeAndText) {
  // ThreadSanitizer does not see the order that the connection brings.
  absl::Mutex mutex;
  absl::Status answer;
  FakeServer server(
      {.forward = [&](const std::string&) -> absl::StatusOr<std::string> {
        absl::MutexLock lock(&mutex);
        return answer;
      }});
  const std::unique_ptr<Client> client = Connect(server.address());
  for (int code = 1; code <= 16; ++code) {
    for (const std::string text : {"server: draining, as told",
                                   "deadline: passed before all was read"}) {
      const absl::Status expected(static_cast<absl::StatusCode>(code), text);
      {
        absl::MutexLock lock(&mutex);
        answer = expected;
      }
      ForwardMemory memory;
      EXPECT_EQ(client->Forward(ForwardExample(), memory.results()), expected);
    }
  }
  const absl::Status expected =
      absl::InvalidArgumentError("config.num_groups: 5, expected 3");
  {
    absl::MutexLock lock(&mutex);
    answer = expected;
  }
  ForwardMemory memory;
  EXPECT_EQ(client->Forward(ForwardExample(), memory.results()), expected);
}

TEST(ClientErrors, NameTheAddressWhereAnotherThanTheServerAnswers) {
  FakeServer proxy({.forward = [](const std::string&) {
    return absl::UnavailableError("no healthy upstream");
  }});
  ForwardMemory memory;
  EXPECT_EQ(
      Connect(proxy.address())->Forward(ForwardExample(), memory.results()),
      absl::UnavailableError(absl::StrCat("no answer from ", proxy.address(),
                                          ": no healthy upstream")));
}

TEST(ClientErrors, AreNotTriedAgain) {
  std::atomic<int> calls = 0;
  FakeServer server(
      {.forward = [&](const std::string&) -> absl::StatusOr<std::string> {
        ++calls;
        return absl::UnavailableError("server: draining");
      }});
  ForwardMemory memory;
  EXPECT_EQ(
      Connect(server.address())->Forward(ForwardExample(), memory.results()),
      absl::UnavailableError("server: draining"));
  EXPECT_EQ(calls, 1);
}

TEST(ClientDeadline, NamesTheAddressAndTheTimeout) {
  absl::Notification done;
  FakeServer server({.forward = [&](const std::string&) {
    done.WaitForNotification();
    return RightForwardResponse().SerializeAsString();
  }});
  ForwardMemory memory;
  const std::unique_ptr<Client> client =
      Connect(server.address(), absl::Milliseconds(50));
  EXPECT_EQ(client->Forward(ForwardExample(), memory.results()),
            absl::DeadlineExceededError(absl::StrCat(
                "no answer from ", server.address(), " within 50ms")));
  // The call's own timeout goes before that of the options.
  EXPECT_EQ(client->Forward(ForwardExample(), memory.results(),
                            absl::Milliseconds(20)),
            absl::DeadlineExceededError(absl::StrCat(
                "no answer from ", server.address(), " within 20ms")));
  done.Notify();
}

TEST(ClientDeadline, HasToBePositiveAndFinite) {
  FakeServer server({.forward = Answer(RightForwardResponse())});
  const std::unique_ptr<Client> client = Connect(server.address());
  const std::vector<std::pair<absl::Duration, std::string>> timeouts = {
      {absl::ZeroDuration(), "0"},
      {-absl::Seconds(1), "-1s"},
      {absl::InfiniteDuration(), "inf"}};
  for (const auto& [timeout, text] : timeouts) {
    const absl::Status expected = absl::InvalidArgumentError(absl::StrCat(
        "timeout: ", text, ", expected a positive and finite duration"));
    ForwardMemory memory;
    EXPECT_EQ(client->Forward(ForwardExample(), memory.results(), timeout),
              expected);
    BackwardMemory gradients;
    EXPECT_EQ(client->Backward(BackwardExample(), gradients.results(), timeout),
              expected);
    EXPECT_EQ(client->GetServerInfo(timeout).status(), expected);
    EXPECT_EQ(Client::Create({.timeout = timeout}).status(), expected);
  }
}

TEST(ClientUnreached, NamesThePortThatNobodyListensOn) {
  const ClosedPort port;
  const absl::Status status = Connect(port.address())->GetServerInfo().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(
      std::string(status.message()),
      StartsWith(absl::StrCat("no answer from ", port.address(), ": ")));
}

TEST(ClientUnreached, NamesTheSocketThatDoesNotExist) {
  const TemporaryDirectory directory;
  const std::string address = directory.unix_address();
  const absl::Status status = Connect(address)->GetServerInfo().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              StartsWith(absl::StrCat("no answer from ", address, ": ")));
}

TEST(ClientUnreached, ReachesAServerThatComesLater) {
  const TemporaryDirectory directory;
  const std::string address = directory.unix_address();
  const std::unique_ptr<Client> client = Connect(address);
  EXPECT_EQ(client->GetServerInfo().status().code(),
            absl::StatusCode::kUnavailable);
  const FakeServer server(
      {.get_server_info = Answer(v1::GetServerInfoResponse())}, address);
  // gRPC connects again after a second or so, and fails calls at once until
  // then.
  absl::Status status = absl::UnavailableError("");
  const absl::Time latest = absl::Now() + absl::Seconds(60);
  while (absl::IsUnavailable(status) && absl::Now() < latest) {
    status = client->GetServerInfo().status();
  }
  EXPECT_EQ(status, absl::OkStatus());
}

TEST(ClientUnreached, NamesTheServerThatBreaksOff) {
  absl::Notification entered, left;
  FakeServer server({.forward = [&](const std::string&) {
    entered.Notify();
    left.WaitForNotification();
    return RightForwardResponse().SerializeAsString();
  }});
  std::thread cutter([&] {
    entered.WaitForNotification();
    CutConnections(server.port());
  });
  ForwardMemory memory;
  const absl::Status status =
      Connect(server.address())->Forward(ForwardExample(), memory.results());
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(
      std::string(status.message()),
      StartsWith(absl::StrCat("no answer from ", server.address(), ": ")));
  left.Notify();
  cutter.join();
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

TEST(ClientThreads, ShareOneClient) {
  FakeServer server({.forward = Answer(RightForwardResponse()),
                     .backward = Answer(RightBackwardResponse())});
  const std::unique_ptr<Client> client = Connect(server.address());
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
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
