// SPDX-License-Identifier: Apache-2.0
/// @file
/// All of TokenGate.
#pragma once

/// @namespace tokengate
/// What programs see of TokenGate. A @ref runtime has the workers, and declares operations. A call
/// of an @ref operation makes a @ref token, which can be asked, @ref token::wait "waited for" and
/// @ref token::kill "killed", as an operation can be @ref operation::pause "paused". Many calls at
/// once are a @ref bulk, of which loops are made, too: parallel_for(), parallel_reduce().
/// Coroutines of the class @ref task wait for tokens by `co_await`, and gather() waits for many.
/// How the tokens of an operation are treated is said by its operation_traits, what a runtime is
/// like by its @ref config.

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
