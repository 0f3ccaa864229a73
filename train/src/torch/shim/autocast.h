// Autocast as it is on this thread, to be put back later.
#pragma once
#include <ATen/autocast_mode.h>

struct AutocastState {
  at::DeviceType device;
  bool enabled, cached;
  at::ScalarType type;
  explicit AutocastState(at::DeviceType d)
      : device(d),
        enabled(at::autocast::is_autocast_enabled(d)),
        cached(at::autocast::is_autocast_cache_enabled()),
        type(at::autocast::get_autocast_dtype(d)) {}
  void set(bool cache) const {
    at::autocast::set_autocast_enabled(device, enabled);
    at::autocast::set_autocast_dtype(device, type);
    at::autocast::set_autocast_cache_enabled(cache);
  }
  void restore() const { set(cached); }
};
