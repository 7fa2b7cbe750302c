#include "server/reflection.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/message.h>

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "grpc/reflection/v1/reflection.pb.h"
#include "server/grpc_status.h"

namespace groupnorm {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1alpha::ExtensionRequest;
using Request = grpc::reflection::v1alpha::ServerReflectionRequest;
using Response = grpc::reflection::v1alpha::ServerReflectionResponse;

const DescriptorPool& Pool() {
  // Nothing else makes the linker take its file.
  google::protobuf::LinkMessageReflection<
      grpc::reflection::v1::ServerReflectionRequest>();
  return *DescriptorPool::generated_pool();
}

void SetError(const absl::Status& status, Response& response) {
  const grpc::Status sent = ToGrpcStatus(status);
  response.mutable_error_response()->set_error_code(sent.error_code());
  response.mutable_error_response()->set_error_message(sent.error_message());
}

void SetNotFound(const std::string& what, Response& response) {
  SetError(absl::NotFoundError(absl::StrCat(
               "reflection: not found, expected a name that the files of the "
               "listed services have: '",
               what, "'")),
           response);
}

// The file, then all that it imports.
void SetFiles(const FileDescriptor& asked, Response& response) {
  auto& answer = *response.mutable_file_descriptor_response();
  std::set<const FileDescriptor*> seen = {&asked};
  std::vector<const FileDescriptor*> files = {&asked};
  for (std::size_t i = 0; i < files.size(); ++i) {
    const FileDescriptor& file = *files[i];
    google::protobuf::FileDescriptorProto proto;
    file.CopyTo(&proto);
    answer.add_file_descriptor_proto(proto.SerializeAsString());
    for (int j = 0; j < file.dependency_count(); ++j) {
      if (seen.insert(file.dependency(j)).second) {
        files.push_back(file.dependency(j));
      }
    }
  }
}

void SetFilesOrNotFound(const FileDescriptor* file, const std::string& what,
                        Response& response) {
  if (file != nullptr) {
    SetFiles(*file, response);
  } else {
    SetNotFound(what, response);
  }
}

const FileDescriptor* FileOfExtension(const ExtensionRequest& request) {
  const Descriptor* const type =
      Pool().FindMessageTypeByName(request.containing_type());
  if (type == nullptr) return nullptr;
  const FieldDescriptor* const extension =
      Pool().FindExtensionByNumber(type, request.extension_number());
  return extension == nullptr ? nullptr : extension->file();
}

void SetExtensionNumbers(const std::string& type_name, Response& response) {
  const Descriptor* const type = Pool().FindMessageTypeByName(type_name);
  if (type == nullptr) {
    SetNotFound(type_name, response);
    return;
  }
  auto& answer = *response.mutable_all_extension_numbers_response();
  answer.set_base_type_name(type_name);
  std::vector<const FieldDescriptor*> extensions;
  Pool().FindAllExtensions(type, &extensions);
  for (const FieldDescriptor* extension : extensions) {
    answer.add_extension_number(extension->number());
  }
}

void SetServices(Response& response) {
  auto& answer = *response.mutable_list_services_response();
  for (const char* name :
       {"groupnorm.v1.GroupNormService", "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection"}) {
    answer.add_service()->set_name(name);
  }
}

}  // namespace

Response DescribeServices(const Request& request) {
  Response response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case Request::kFileByFilename: {
      const std::string& name = request.file_by_filename();
      SetFilesOrNotFound(Pool().FindFileByName(name), name, response);
      break;
    }
    case Request::kFileContainingSymbol: {
      const std::string& name = request.file_containing_symbol();
      SetFilesOrNotFound(Pool().FindFileContainingSymbol(name), name, response);
      break;
    }
    case Request::kFileContainingExtension: {
      const ExtensionRequest& asked = request.file_containing_extension();
      SetFilesOrNotFound(FileOfExtension(asked), asked.containing_type(),
                         response);
      break;
    }
    case Request::kAllExtensionNumbersOfType:
      SetExtensionNumbers(request.all_extension_numbers_of_type(), response);
      break;
    case Request::kListServices:
      SetServices(response);
      break;
    case Request::MESSAGE_REQUEST_NOT_SET:
      SetError(absl::InvalidArgumentError(
                   "message_request: missing, expected a question"),
               response);
      break;
  }
  return response;
}

}  // namespace groupnorm
