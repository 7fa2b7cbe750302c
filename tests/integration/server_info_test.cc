#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "kernels/group_norm.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

using ::testing::ElementsAre;
using ::testing::MatchesRegex;

TEST(GetServerInfo, DescribesTheServer) {
  ServerOptions options = LoopbackOptions();
  options.workers = 3;
  options.max_message_bytes = 12345678;
  TestServer server(options);
  v1::GetServerInfoResponse info;
  ASSERT_THAT(server.GetServerInfo(&info), Succeeds());
  EXPECT_THAT(info.version(), MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_EQ(info.max_message_bytes(), 12345678);
  EXPECT_THAT(info.dtypes(),
              ElementsAre(v1::DATA_TYPE_FLOAT32, v1::DATA_TYPE_FLOAT64,
                          v1::DATA_TYPE_FLOAT16, v1::DATA_TYPE_BFLOAT16));
  EXPECT_EQ(info.workers(), 3);
  EXPECT_EQ(info.simd_target(), std::string(SimdTarget()));
  EXPECT_GE(info.uptime_seconds(), 0);
}

// A body that is not waited for is not held either, of whatever size.
TEST(GetServerInfo, AnswersBeforeTheBodyComes) {
  TestServer server;
  RawCall call(server.channel(), "GetServerInfo");
  EXPECT_THAT(call.Finish(), Succeeds());
  EXPECT_GT(call.response().Length(), 0u);
}

TEST(GetServerInfo, CountsTheWorkersThatTheMachineGives) {
  TestServer server;
  v1::GetServerInfoResponse info;
  ASSERT_THAT(server.GetServerInfo(&info), Succeeds());
  EXPECT_EQ(info.workers(), UsableCpus());
}

}  // namespace
}  // namespace groupnorm
