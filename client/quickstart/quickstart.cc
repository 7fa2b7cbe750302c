// Normalizes six channels in three groups: quickstart [ADDRESS]
#include <groupnorm/client.h>

#include <iostream>
#include <vector>

int main(int argc, char** argv) {
  const auto client = groupnorm::Client::Create(
      {.address = argc > 1 ? argv[1] : "127.0.0.1:50051"});
  if (!client.ok()) {
    std::cerr << client.status() << '\n';
    return 1;
  }
  const std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  std::vector<float> y(x.size());
  const absl::Status status = (*client)->Forward(
      {.input = {groupnorm::DataType::kFloat32, {1, 6, 2}, x.data()},
       .num_groups = 3},
      {.output = y.data()});
  if (!status.ok()) {
    std::cerr << status << '\n';
    return 1;
  }
  for (const float value : y) std::cout << value << ' ';
  std::cout << '\n';
}
