// SPDX-License-Identifier: Apache-2.0
/// @file
/// Line charts as one self-contained SVG file.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace tokengate::app {

/// One line of a chart.
struct chart_series {
    std::string name;
    std::string colour;  ///< as in SVG, "#2266aa"
    bool dashed = false;
    std::vector<double> values{};  ///< one for each point of the chart's x axis
};

/// Lines over one x axis, with a title, a grid and a legend. Points lie at equal distances, so an
/// axis whose points double is a log2 axis.
struct chart {
    std::string title;
    std::string x_title{};
    std::vector<std::string> x_labels{};
    std::vector<chart_series> series{};
    bool logarithmic = false;  ///< log10 y axis; values that are not positive are left out
    std::function<std::string(double)> y_label{};  ///< names a place on the y axis
};

/// The charts one below the other under a heading.
[[nodiscard]] std::string svg_of(const std::string& heading, const std::string& subheading,
                                 const std::vector<chart>& charts);

}  // namespace tokengate::app
