# SPDX-License-Identifier: Apache-2.0
"""What `./dev bench` does with the figures that tokengate-bench prints: statistics, goals, tables,
comparison of runs, sweeps over settings, and the report as one HTML page."""
