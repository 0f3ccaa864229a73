// How errors leave the shim: every function catches all C++ exceptions, keeps the message here and returns a value that
// says "failed" (-1 or a null pointer). The Rust side reads the message with pm_last_error on the same thread.
#pragma once
#include <c10/util/Exception.h>
#include <exception>
#include <string>

inline thread_local std::string last_error;

#define GUARD(FAILED, ...)                    \
  try {                                       \
    __VA_ARGS__                               \
  } catch (const c10::Error& error) {         \
    last_error = error.what_without_backtrace(); \
  } catch (const std::exception& error) {     \
    last_error = error.what();                \
  } catch (...) {                             \
    last_error = "unknown C++ exception";     \
  }                                           \
  return FAILED
