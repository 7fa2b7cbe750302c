#include "wire/tensor_checks.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tensor/group_geometry.h"

namespace groupnorm {

namespace {

constexpr int kMinInputRank = 2;

std::string NameOf(DataType dtype) { return std::string(DataTypeName(dtype)); }

// Extents beyond the 16th were not kept, so such a shape is told by its rank.
std::string ShapeText(const UncheckedTensor& tensor) {
  if (tensor.rank > Shape::kMaxRank) return absl::StrCat("rank ", tensor.rank);
  return ExtentsToString(tensor.extents());
}

bool HasShape(const UncheckedTensor& tensor, const Shape& shape) {
  return tensor.rank == static_cast<std::uint64_t>(shape.rank()) &&
         std::ranges::equal(tensor.extents(), shape.extents());
}

absl::Status Missing(const std::string& path) {
  return Rejection(path, "missing", "a tensor");
}

absl::StatusOr<DataType> CheckDtype(const std::string& path,
                                    const UncheckedTensor& tensor) {
  const std::optional<DataType> dtype = DataTypeFromValue(tensor.dtype);
  if (!dtype.has_value()) {
    return Rejection(path + ".dtype", absl::StrCat(tensor.dtype),
                     "FLOAT32 (1), FLOAT64 (2), FLOAT16 (3) or BFLOAT16 (4)");
  }
  return *dtype;
}

// Whatever makes the extents a shape at all.
absl::StatusOr<Shape> CheckShape(const std::string& path,
                                 const UncheckedTensor& tensor, int min_rank) {
  const std::string shape_path = path + ".shape";
  if (tensor.rank < static_cast<std::uint64_t>(min_rank) ||
      tensor.rank > Shape::kMaxRank) {
    return Rejection(shape_path, ShapeText(tensor),
                     absl::StrCat("rank ", min_rank, " to ", Shape::kMaxRank));
  }
  const auto extents = tensor.extents();
  if (std::ranges::any_of(extents, [](auto extent) { return extent < 0; })) {
    return Rejection(shape_path, ShapeText(tensor), "extents of 0 or more");
  }
  absl::StatusOr<Shape> shape = Shape::Create(extents);
  if (!shape.ok()) {
    return Rejection(shape_path, ShapeText(tensor),
                     "a product below 2^60 (zeros counted as ones)");
  }
  return shape;
}

absl::StatusOr<TensorPayload> CheckData(const std::string& path, DataType dtype,
                                        const Shape& shape,
                                        const UncheckedTensor& tensor) {
  const std::uint64_t expected =
      static_cast<std::uint64_t>(shape.num_elements()) * ElementSize(dtype);
  if (tensor.data.size != expected) {
    return Rejection(
        path + ".data", absl::StrCat(tensor.data.size, " bytes"),
        absl::StrCat(expected, " for ", NameOf(dtype), " ", shape.ToString()));
  }
  return TensorPayload{dtype, shape, tensor.data};
}

}  // namespace

absl::Status Rejection(const std::string& path, const std::string& value,
                       const std::string& expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": ", value, ", expected ", expected));
}

absl::Status NotAMessage(const std::string& what, const std::string& type,
                         std::size_t failure) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": not a valid ", type, " at byte ", failure));
}

absl::StatusOr<TensorPayload> CheckTensor(
    const std::string& path, const std::optional<UncheckedTensor>& tensor) {
  if (!tensor.has_value()) return Missing(path);
  const absl::StatusOr<DataType> dtype = CheckDtype(path, *tensor);
  if (!dtype.ok()) return dtype.status();
  const absl::StatusOr<Shape> shape = CheckShape(path, *tensor, 0);
  if (!shape.ok()) return shape.status();
  return CheckData(path, *dtype, *shape, *tensor);
}

absl::StatusOr<TensorPayload> CheckTensorOfShape(
    const std::string& path, const std::optional<UncheckedTensor>& tensor,
    const Shape& shape) {
  if (!tensor.has_value()) return Missing(path);
  const absl::StatusOr<DataType> dtype = CheckDtype(path, *tensor);
  if (!dtype.ok()) return dtype.status();
  if (!HasShape(*tensor, shape)) {
    return Rejection(path + ".shape", ShapeText(*tensor), shape.ToString());
  }
  return CheckData(path, *dtype, shape, *tensor);
}

absl::StatusOr<TensorPayload> CheckInput(
    const std::string& path, const std::optional<UncheckedTensor>& tensor,
    Layout layout) {
  if (!tensor.has_value()) return Missing(path);
  const absl::StatusOr<DataType> dtype = CheckDtype(path, *tensor);
  if (!dtype.ok()) return dtype.status();
  const absl::StatusOr<Shape> shape = CheckShape(path, *tensor, kMinInputRank);
  if (!shape.ok()) return shape.status();
  if (ChannelExtent(*shape, layout) == 0) {
    return Rejection(path + ".shape", ShapeText(*tensor), "1 channel or more");
  }
  return CheckData(path, *dtype, *shape, *tensor);
}

absl::StatusOr<TensorPayload> CheckTensorLikeInput(
    const std::string& path, const std::optional<UncheckedTensor>& tensor,
    const TensorPayload& input) {
  if (!tensor.has_value()) return Missing(path);
  const absl::StatusOr<DataType> dtype = CheckDtype(path, *tensor);
  if (!dtype.ok()) return dtype.status();
  if (*dtype != input.dtype) {
    return Rejection(path + ".dtype", NameOf(*dtype),
                     NameOf(input.dtype) + " as input");
  }
  if (!HasShape(*tensor, input.shape)) {
    return Rejection(path + ".shape", ShapeText(*tensor),
                     input.shape.ToString() + " as input");
  }
  return CheckData(path, *dtype, input.shape, *tensor);
}

}  // namespace groupnorm
