// Status: why the outside world (disk, configuration, another process) did not do what was asked.
// Result<T>: a value or such a Status. Expected answers of the cache (miss, not stored) are not
// Statuses but tiering::Outcome; our own mistakes are CHECKs (storage/base/check.h).
// Threads: plain values. Errors: none of their own; OK costs no allocation.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "storage/base/check.h"

namespace terraced {

enum class StatusCode {
  kOk,
  kInvalidArgument,  // configuration that cannot work
  kNotFound,
  kNoSpace,      // ENOSPC, EDQUOT or a quota of ours
  kIoError,      // any other failed system call
  kCorruption,   // bytes that fail their check
  kBusy,         // held by another process
  kUnavailable,  // turned off or stopping
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message)
      : rep_(code == StatusCode::kOk ? nullptr
                                     : std::make_unique<Rep>(Rep{code, std::move(message)})) {}
  Status(const Status& other) : rep_(other.rep_ ? std::make_unique<Rep>(*other.rep_) : nullptr) {}
  Status& operator=(const Status& other) {
    if (this != &other) rep_ = other.rep_ ? std::make_unique<Rep>(*other.rep_) : nullptr;
    return *this;
  }
  Status(Status&&) = default;
  Status& operator=(Status&&) = default;
  ~Status() = default;

  // The last failed system call as a Status: "what: strerror(error)"; ENOSPC becomes kNoSpace.
  static Status FromErrno(std::string_view what, int error);

  bool ok() const { return rep_ == nullptr; }  // NOLINT(readability-identifier-naming)
  StatusCode code() const {                    // NOLINT(readability-identifier-naming)
    return rep_ ? rep_->code : StatusCode::kOk;
  }
  std::string_view message() const {  // NOLINT(readability-identifier-naming)
    return rep_ ? std::string_view(rep_->message) : std::string_view("ok");
  }
  // The same failure with "context: " in front, for the layer that knows what was being tried.
  Status WithContext(std::string_view context) const;

 private:
  struct Rep {
    StatusCode code;
    std::string message;
  };
  std::unique_ptr<Rep> rep_;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    TERRACED_CHECK(!status_.ok());
  }

  bool ok() const { return value_.has_value(); }    // NOLINT(readability-identifier-naming)
  const Status& status() const { return status_; }  // NOLINT(readability-identifier-naming)
  T& value() & { return *value_; }                  // NOLINT(readability-identifier-naming)
  const T& value() const& { return *value_; }       // NOLINT(readability-identifier-naming)
  T&& value() && { return std::move(*value_); }     // NOLINT(readability-identifier-naming)

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace terraced

#define TERRACED_CONCAT_INNER(a, b) a##b
#define TERRACED_CONCAT(a, b) TERRACED_CONCAT_INNER(a, b)
#define TERRACED_RETURN_IF_ERROR(expr)             \
  do {                                             \
    ::terraced::Status status_macro_ = (expr);     \
    if (!status_macro_.ok()) return status_macro_; \
  } while (false)
#define TERRACED_ASSIGN_OR_RETURN_INNER(result, lhs, expr) \
  auto result = (expr);                                    \
  if (!result.ok()) return result.status();                \
  lhs = std::move(result).value()
#define TERRACED_ASSIGN_OR_RETURN(lhs, expr) \
  TERRACED_ASSIGN_OR_RETURN_INNER(TERRACED_CONCAT(result_macro_, __LINE__), lhs, expr)
