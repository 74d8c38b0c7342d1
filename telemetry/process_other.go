//go:build !unix

package telemetry

import "math"

func cpuSeconds() float64 { return math.NaN() }
