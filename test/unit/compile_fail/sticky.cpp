// SPDX-License-Identifier: Apache-2.0
// Compiles as it is. With one of the macros it must not, and the compiler says what to do.
#include <tokengate/locality.hpp>

#include <string_view>
#include <utility>

namespace tg = tokengate;

namespace {

struct opaque {
    int content = 0;
};

/// Declares operations as the runtime does.
struct fake_runtime {
    template <class F>
    void operation(std::string_view, tg::detail::traits_for<F> traits, F&&) {
        static_cast<void>(traits);
    }
};

void declare(fake_runtime& rt) {
    const auto on_opaque = [](const opaque&) {};
    rt.operation("plain", {.weight = tg::weight::light}, on_opaque);
    rt.operation("anchored", {.sticky = tg::sticky::by_anchor("mesh")}, on_opaque);
    rt.operation("keyed", {.sticky = tg::sticky::by_arguments()}, [](int) {});
#if defined(BY_ARGUMENTS)
    rt.operation("keyed", {.sticky = tg::sticky::by_arguments()}, on_opaque);
#elif defined(BY_ANCHOR_AND_ARGUMENTS)
    rt.operation("keyed", {.sticky = tg::sticky::by_anchor_and_arguments("mesh")}, on_opaque);
#endif
}

}  // namespace

int main() {
    fake_runtime rt;
    declare(rt);
}
