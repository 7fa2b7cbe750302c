#include "tests/unit/client/fake_server.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/method_handler.h>
#include <grpcpp/impl/codegen/rpc_service_method.h>
#include <grpcpp/impl/codegen/service_type.h>

#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace groupnorm {

namespace {

std::string BytesOf(const grpc::ByteBuffer& message) {
  std::vector<grpc::Slice> slices;
  if (!message.Dump(&slices).ok()) return {};
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

class FakeService : public grpc::Service {
 public:
  explicit FakeService(FakeServer::Methods methods) {
    Add("Forward", std::move(methods.forward));
    Add("Backward", std::move(methods.backward));
    Add("GetServerInfo", std::move(methods.get_server_info));
  }

 private:
  using Handler =
      grpc::internal::RpcMethodHandler<FakeService, grpc::ByteBuffer,
                                       grpc::ByteBuffer>;

  void Add(const std::string& name, FakeServer::Method method) {
    // The service keeps a pointer to the name.
    names_.push_back(std::make_unique<std::string>(
        absl::StrCat("/groupnorm.v1.GroupNormService/", name)));
    const auto answer = [method = std::move(method)](
                            FakeService*, grpc::ServerContext* context,
                            const grpc::ByteBuffer* request,
                            grpc::ByteBuffer* response) {
      if (!method) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "");
      const absl::StatusOr<std::string> bytes = method(BytesOf(*request));
      if (!bytes.ok()) {
        bytes.status().ForEachPayload([context](absl::string_view key,
                                                const absl::Cord& value) {
          context->AddTrailingMetadata(std::string(key), std::string(value));
        });
        return grpc::Status(
            static_cast<grpc::StatusCode>(bytes.status().code()),
            std::string(bytes.status().message()));
      }
      const grpc::Slice slice(*bytes);
      *response = grpc::ByteBuffer(&slice, 1);
      return grpc::Status::OK;
    };
    AddMethod(new grpc::internal::RpcServiceMethod(
        names_.back()->c_str(), grpc::internal::RpcMethod::NORMAL_RPC,
        new Handler(answer, this)));
  }

  std::vector<std::unique_ptr<std::string>> names_;
};

}  // namespace

struct FakeServer::Impl {
  explicit Impl(Methods methods) : service(std::move(methods)) {}

  std::string address;
  int port = 0;
  FakeService service;
  std::unique_ptr<grpc::Server> server;
};

FakeServer::FakeServer(Methods methods, std::string address)
    : impl_(std::make_unique<Impl>(std::move(methods))) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(),
                           &impl_->port);
  builder.SetMaxReceiveMessageSize(-1);
  builder.RegisterService(&impl_->service);
  impl_->server = builder.BuildAndStart();
  impl_->address = absl::StartsWith(address, "unix:")
                       ? address
                       : absl::StrCat("127.0.0.1:", impl_->port);
}

FakeServer::~FakeServer() {
  impl_->server->Shutdown(std::chrono::system_clock::now());
}

const std::string& FakeServer::address() const { return impl_->address; }

int FakeServer::port() const { return impl_->port; }

}  // namespace groupnorm
