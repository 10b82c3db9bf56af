// SPDX-License-Identifier: Apache-2.0
/// @file
/// All of TokenGate.
#pragma once

#include <tokengate/affinity.hpp>
#include <tokengate/arena.hpp>
#include <tokengate/argument.hpp>
#include <tokengate/blocking.hpp>
#include <tokengate/bulk.hpp>
#include <tokengate/config.hpp>
#include <tokengate/control.hpp>
#include <tokengate/dataflow.hpp>
#include <tokengate/error.hpp>
#include <tokengate/gather.hpp>
#include <tokengate/health.hpp>
#include <tokengate/interval.hpp>
#include <tokengate/key_hold.hpp>
#include <tokengate/locality.hpp>
#include <tokengate/operation.hpp>
#include <tokengate/parallel.hpp>
#include <tokengate/resilience.hpp>
#include <tokengate/runtime.hpp>
#include <tokengate/stats.hpp>
#include <tokengate/task.hpp>
#include <tokengate/token.hpp>
#include <tokengate/topology.hpp>
#include <tokengate/weight.hpp>
