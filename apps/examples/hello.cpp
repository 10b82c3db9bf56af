// SPDX-License-Identifier: Apache-2.0
// Three lines to start, one to declare, a plain call to use.
#include <tokengate/tokengate.hpp>

#include <iostream>
#include <string>

namespace tg = tokengate;

int main() {
    tg::runtime rt;

    auto greet =
        rt.operation("greet", [](const std::string& name) { return "Hello, " + name + "!"; });

    tg::token<std::string> t = greet("world");  // at once; the gate has placed it
    std::cout << t.get() << "\n";               // blocks; on a worker it runs others instead

    std::cout << "token " << t.id() << " ran in domain " << t.domain() << " of "
              << rt.topology().size() << "\n";
    return t.get() == "Hello, world!" ? 0 : 1;
}
