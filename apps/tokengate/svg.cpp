// SPDX-License-Identifier: Apache-2.0
#include "svg.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

#include <absl/strings/str_format.h>

namespace tokengate::app {
namespace {

// All lengths are in SVG user units, which are pixels at the natural size.
constexpr double page_width = 920.0;
constexpr double heading_height = 76.0;
constexpr double chart_height = 360.0;
constexpr double left = 84.0;
constexpr double right = page_width - 32.0;
constexpr double plot_top = 62.0;  // below the chart's title and legend
constexpr double plot_bottom = chart_height - 58.0;

std::string escaped(const std::string& text) {
    std::string result;
    for (const char each : text) {
        switch (each) {
            case '&': result += "&amp;"; break;
            case '<': result += "&lt;"; break;
            case '>': result += "&gt;"; break;
            case '"': result += "&quot;"; break;
            default: result += each;
        }
    }
    return result;
}

/// Where values lie on the y axis, and where its lines are drawn.
class y_axis {
  public:
    explicit y_axis(const chart& shown) : logarithmic_(shown.logarithmic) {
        double smallest = std::numeric_limits<double>::max();
        double largest = 0.0;
        for (const chart_series& each : shown.series) {
            for (const double value : each.values) {
                if (value > 0.0) smallest = std::min(smallest, value);
                largest = std::max(largest, value);
            }
        }
        if (largest <= 0.0) smallest = largest = 1.0;  // nothing to show, still an axis
        logarithmic_ ? span_decades(smallest, largest) : span_from_zero(largest);
    }

    [[nodiscard]] const std::vector<double>& ticks() const { return ticks_; }
    [[nodiscard]] bool shows(double value) const { return !logarithmic_ || value > 0.0; }

    [[nodiscard]] double place(double value) const {
        const double share = logarithmic_ ? std::log10(value / low_) / std::log10(high_ / low_)
                                          : (value - low_) / (high_ - low_);
        return plot_bottom - share * (plot_bottom - plot_top);
    }

  private:
    void span_decades(double smallest, double largest) {
        low_ = std::pow(10.0, std::floor(std::log10(smallest)));
        high_ = std::pow(10.0, std::ceil(std::log10(largest)));
        if (high_ <= low_) high_ = low_ * 10.0;
        for (double tick = low_; tick < high_ * 1.5; tick *= 10.0) ticks_.push_back(tick);
    }

    /// Steps of 1, 2 or 5 times a power of ten, about five of them.
    void span_from_zero(double largest) {
        const double power = std::pow(10.0, std::floor(std::log10(largest / 5.0)));
        double step = power;
        for (const double factor : {2.0, 5.0, 10.0}) {
            if (largest / step > 6.0) step = power * factor;
        }
        const double steps = std::ceil(largest / step);
        high_ = steps * step;
        for (double count = 0.0; count <= steps; ++count) ticks_.push_back(count * step);
    }

    bool logarithmic_;
    double low_ = 0.0;
    double high_ = 1.0;
    std::vector<double> ticks_;
};

double x_place(std::size_t index, std::size_t count) {
    const auto gaps = static_cast<double>(std::max<std::size_t>(count, 2) - 1);
    return left + static_cast<double>(index) / gaps * (right - left);
}

std::string text_at(double x, double y, const char* style, const std::string& content) {
    return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, style,
                           escaped(content));
}

std::string line(double x1, double y1, double x2, double y2, const char* style) {
    return absl::StrFormat("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n",
                           x1, y1, x2, y2, style);
}

std::string stroke_of(const chart_series& series) {
    return absl::StrFormat("stroke=\"%s\"%s", escaped(series.colour),
                           series.dashed ? " stroke-dasharray=\"6 4\"" : "");
}

std::string legend_of(const chart& shown) {
    std::string result;
    double x = left;
    for (const chart_series& each : shown.series) {
        result += absl::StrFormat(
            "<line x1=\"%.1f\" y1=\"41\" x2=\"%.1f\" y2=\"41\" class=\"series\" %s/>\n", x,
            x + 26.0, stroke_of(each));
        result += text_at(x + 32.0, 45.0, "legend", each.name);
        // 7 units a letter is the average of the fonts that are asked for.
        x += 32.0 + 7.0 * static_cast<double>(each.name.size()) + 26.0;
    }
    return result;
}

std::string series_of(const chart_series& series, const y_axis& axis) {
    std::string points;
    std::string dots;
    const std::size_t count = series.values.size();
    for (std::size_t i = 0; i < count; ++i) {
        if (!axis.shows(series.values[i])) continue;
        const double x = x_place(i, count);
        const double y = axis.place(series.values[i]);
        points += absl::StrFormat("%s%.1f,%.1f", points.empty() ? "" : " ", x, y);
        if (series.dashed) continue;
        dots += absl::StrFormat("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x, y,
                                escaped(series.colour));
    }
    return absl::StrFormat("<polyline points=\"%s\" class=\"series\" %s/>\n", points,
                           stroke_of(series)) +
           dots;
}

std::string chart_of(const chart& shown, double top) {
    const y_axis axis(shown);
    std::string result = absl::StrFormat("<g transform=\"translate(0 %.1f)\">\n", top);
    result += text_at(left, 22.0, "title", shown.title);
    result += legend_of(shown);
    for (const double tick : axis.ticks()) {
        const double y = axis.place(tick);
        result += line(left, y, right, y, "grid");
        result += text_at(left - 8.0, y + 4.0, "y", shown.y_label(tick));
    }
    for (std::size_t i = 0; i < shown.x_labels.size(); ++i) {
        const double x = x_place(i, shown.x_labels.size());
        result += line(x, plot_bottom, x, plot_bottom + 5.0, "axis");
        result += text_at(x, plot_bottom + 20.0, "x", shown.x_labels[i]);
    }
    result += line(left, plot_bottom, right, plot_bottom, "axis");
    result += text_at((left + right) / 2.0, plot_bottom + 40.0, "x", shown.x_title);
    for (const chart_series& each : shown.series) result += series_of(each, axis);
    return result + "</g>\n";
}

constexpr const char* style = R"(<style>
text { font-family: "Helvetica Neue", Helvetica, Arial, "DejaVu Sans", sans-serif; fill: #222 }
.heading { font-size: 20px; font-weight: bold }
.subheading { font-size: 13px; fill: #555 }
.title { font-size: 15px; font-weight: bold }
.legend { font-size: 12px }
.x { font-size: 11px; text-anchor: middle; fill: #444 }
.y { font-size: 11px; text-anchor: end; fill: #444 }
.grid { stroke: #e2e2e2; stroke-width: 1 }
.axis { stroke: #777; stroke-width: 1 }
.series { fill: none; stroke-width: 2.2; stroke-linejoin: round }
</style>
)";

}  // namespace

std::string svg_of(const std::string& heading, const std::string& subheading,
                   const std::vector<chart>& charts) {
    const double height = heading_height + chart_height * static_cast<double>(charts.size());
    std::string result = absl::StrFormat(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
        "height=\"%.0f\" role=\"img\">\n",
        page_width, height, page_width, height);
    result += absl::StrFormat("<title>%s</title>\n", escaped(heading));
    result += style;
    result += "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
    result += text_at(left, 34.0, "heading", heading);
    result += text_at(left, 56.0, "subheading", subheading);
    double top = heading_height;
    for (const chart& each : charts) {
        result += chart_of(each, top);
        top += chart_height;
    }
    return result + "</svg>\n";
}

}  // namespace tokengate::app
