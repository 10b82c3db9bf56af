// SPDX-License-Identifier: Apache-2.0
/// @file
/// `tokengate topology`: the map of domains, as text and as JSON.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include <tokengate/config.hpp>
#include <tokengate/topology.hpp>

namespace tokengate::app {

/// The map for people: source, one row a domain, the range of each class, what shaped the width,
/// and whether workers are really bound. Ends with a line end.
[[nodiscard]] std::string format_topology(const topology& map, const settings& held);

/// The same for machines. Unknown values are null, sizes are in bytes, ranges are inclusive.
[[nodiscard]] nlohmann::ordered_json topology_json(const topology& map, const settings& held);

}  // namespace tokengate::app
