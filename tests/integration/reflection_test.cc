#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

using grpc::reflection::v1alpha::ServerReflection;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;
using ::testing::Contains;
using ::testing::ElementsAre;

// An open stream of questions.
class Reflection {
 public:
  explicit Reflection(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(ServerReflection::NewStub(channel)) {
    context_.set_deadline(std::chrono::system_clock::now() +
                          std::chrono::minutes(5));
    stream_ = stub_->ServerReflectionInfo(&context_);
  }

  ServerReflectionResponse Ask(const ServerReflectionRequest& request) {
    ServerReflectionResponse response;
    stream_->Write(request);
    EXPECT_TRUE(stream_->Read(&response));
    return response;
  }

  // Says that no question follows, and waits for the end.
  grpc::Status Finish() {
    stream_->WritesDone();
    return AwaitEnd();
  }

  grpc::Status AwaitEnd() {
    ServerReflectionResponse response;
    EXPECT_FALSE(stream_->Read(&response));
    return stream_->Finish();
  }

 private:
  std::unique_ptr<ServerReflection::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<ServerReflectionRequest,
                                           ServerReflectionResponse>>
      stream_;
};

ServerReflectionRequest ForServices() {
  ServerReflectionRequest request;
  request.set_list_services("*");
  return request;
}

ServerReflectionRequest ForSymbol(const std::string& symbol) {
  ServerReflectionRequest request;
  request.set_file_containing_symbol(symbol);
  return request;
}

std::vector<std::string> FilesOf(const ServerReflectionResponse& response) {
  std::vector<std::string> names;
  for (const std::string& bytes :
       response.file_descriptor_response().file_descriptor_proto()) {
    google::protobuf::FileDescriptorProto file;
    EXPECT_TRUE(file.ParseFromString(bytes));
    names.push_back(file.name());
  }
  return names;
}

TEST(Reflection, ListsTheServices) {
  TestServer server;
  Reflection reflection(server.channel());
  const ServerReflectionResponse response = reflection.Ask(ForServices());
  std::vector<std::string> names;
  for (const auto& service : response.list_services_response().service()) {
    names.push_back(service.name());
  }
  EXPECT_THAT(names, ElementsAre("groupnorm.v1.GroupNormService",
                                 "grpc.health.v1.Health",
                                 "grpc.reflection.v1.ServerReflection",
                                 "grpc.reflection.v1alpha.ServerReflection"));
  EXPECT_EQ(response.original_request().list_services(), "*");
  EXPECT_THAT(reflection.Finish(), Succeeds());
}

TEST(Reflection, DescribesEveryServiceThatItListsWithWhatItImports) {
  TestServer server;
  Reflection reflection(server.channel());
  const ServerReflectionResponse services = reflection.Ask(ForServices());
  for (const auto& service : services.list_services_response().service()) {
    EXPECT_FALSE(FilesOf(reflection.Ask(ForSymbol(service.name()))).empty());
  }
  EXPECT_THAT(
      FilesOf(reflection.Ask(ForSymbol("groupnorm.v1.GroupNormService"))),
      ElementsAre("groupnorm/v1/groupnorm.proto", "groupnorm/v1/tensor.proto"));
  EXPECT_THAT(FilesOf(reflection.Ask(
                  ForSymbol("groupnorm.v1.GroupNormService.Forward"))),
              Contains("groupnorm/v1/groupnorm.proto"));
  ServerReflectionRequest by_name;
  by_name.set_file_by_filename("groupnorm/v1/tensor.proto");
  EXPECT_THAT(FilesOf(reflection.Ask(by_name)),
              ElementsAre("groupnorm/v1/tensor.proto"));
}

TEST(Reflection, AnswersQuestionsAboutExtensions) {
  TestServer server;
  Reflection reflection(server.channel());
  ServerReflectionRequest numbers;
  numbers.set_all_extension_numbers_of_type("groupnorm.v1.Tensor");
  const ServerReflectionResponse none = reflection.Ask(numbers);
  EXPECT_EQ(none.all_extension_numbers_response().base_type_name(),
            "groupnorm.v1.Tensor");
  EXPECT_EQ(none.all_extension_numbers_response().extension_number_size(), 0);
  ServerReflectionRequest extension;
  extension.mutable_file_containing_extension()->set_containing_type(
      "groupnorm.v1.Tensor");
  extension.mutable_file_containing_extension()->set_extension_number(7);
  EXPECT_EQ(reflection.Ask(extension).error_response().error_message(),
            "reflection: not found, expected a name that the files of the "
            "listed services have: 'groupnorm.v1.Tensor'");
}

TEST(Reflection, SaysWhatItDoesNotFindAndGoesOn) {
  TestServer server;
  Reflection reflection(server.channel());
  ServerReflectionRequest file, numbers;
  file.set_file_by_filename("nothing.proto");
  numbers.set_all_extension_numbers_of_type("nothing.proto");
  for (const ServerReflectionRequest& request :
       {ForSymbol("nothing.proto"), file, numbers}) {
    const auto error = reflection.Ask(request).error_response();
    EXPECT_EQ(error.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(error.error_message(),
              "reflection: not found, expected a name that the files of the "
              "listed services have: 'nothing.proto'");
  }
  const auto long_name = reflection.Ask(ForSymbol(std::string(4000, '\n')));
  EXPECT_EQ(long_name.error_response().error_message().size(), 1024u);
  EXPECT_TRUE(long_name.error_response().error_message().ends_with("???"));
  const auto error = reflection.Ask({}).error_response();
  EXPECT_EQ(error.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(error.error_message(),
            "message_request: missing, expected a question");
  EXPECT_THAT(reflection.Finish(), Succeeds());
}

TEST(Reflection, RefusesQuestionsThatAreTooLong) {
  TestServer server;
  RawCall call(
      server.channel(),
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
  call.Send(ForSymbol(std::string(4096, 'x')).SerializeAsString());
  EXPECT_THAT(call.Finish(),
              FailsWith(grpc::StatusCode::INVALID_ARGUMENT,
                        "request: 4099 bytes, expected at most 4096"));
}

TEST(Reflection, AnswersUnderTheNameThatNewerToolsAskFor) {
  TestServer server;
  RawCall call(server.channel(),
               "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
  call.Send(ForServices().SerializeAsString());
  call.EndRequest();
  EXPECT_THAT(call.Finish(), Succeeds());
  EXPECT_GT(call.response().Length(), 0u);
  // And describes it under that name.
  Reflection reflection(server.channel());
  EXPECT_THAT(FilesOf(reflection.Ask(
                  ForSymbol("grpc.reflection.v1.ServerReflectionRequest"))),
              ElementsAre("grpc/reflection/v1/reflection.proto"));
}

TEST(Reflection, BoundsTheStreamsThatAreOpen) {
  TestServer server;
  const auto other = Connect(server.address());
  std::vector<std::unique_ptr<Reflection>> open;
  for (int i = 0; i < 32; ++i) {
    open.push_back(std::make_unique<Reflection>(server.channel()));
    open.back()->Ask(ForServices());
  }
  Reflection beyond_half(server.channel());
  EXPECT_THAT(beyond_half.AwaitEnd(),
              FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED,
                        "server: 32 reflection streams of this connection are "
                        "open, the limit"));
  for (int i = 0; i < 32; ++i) {
    open.push_back(std::make_unique<Reflection>(other));
    open.back()->Ask(ForServices());
  }
  // Another takes the place of the oldest.
  const auto third = Connect(server.address());
  Reflection newest(third);
  newest.Ask(ForServices());
  EXPECT_THAT(open.front()->AwaitEnd(),
              FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED,
                        "server: 64 reflection streams are open, the limit"));
  EXPECT_THAT(newest.Finish(), Succeeds());
}

TEST(Reflection, EndsOpenStreamsWhenTheServerDrains) {
  TestServer server;
  Reflection idle(server.channel()), asked(server.channel());
  idle.Ask(ForServices());
  asked.Ask(ForSymbol("groupnorm.v1.Tensor"));
  EXPECT_TRUE(server.server().Drain());
  for (Reflection* reflection : {&idle, &asked}) {
    EXPECT_THAT(reflection->AwaitEnd(),
                FailsWith(grpc::StatusCode::UNAVAILABLE,
                          "server: draining, expected another server"));
  }
}

}  // namespace
}  // namespace groupnorm
