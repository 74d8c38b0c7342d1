package strictyaml

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bytes is a size in octets. It is written with a unit: "256MiB".
type Bytes int64

// units from the largest down; each is 1,024 of the next.
var units = [...]struct {
	name string
	size Bytes
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// ParseBytes reads a whole number with one of the units B, KiB, MiB, GiB and TiB.
func ParseBytes(s string) (Bytes, error) {
	number := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := s[len(number):]
	if !isDecimal(number) || number[0] == '-' {
		return 0, wrongf("write a whole number and a unit, as in 256MiB", "%s is not a size", clip(s))
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, wrongf("", "%s is too large a size", clip(s))
	}
	if n == 0 && unit == "" {
		return 0, nil
	}
	for _, u := range units {
		if u.name != unit {
			continue
		}
		if n > math.MaxInt64/int64(u.size) {
			return 0, wrongf("", "%s is too large a size", clip(s))
		}
		return Bytes(n) * u.size, nil
	}
	hint := fmt.Sprintf("the units are B, KiB, MiB, GiB and TiB, as in %sMiB", number)
	if unit = strings.TrimSpace(unit); unit != "" {
		for _, u := range units {
			if strings.EqualFold(unit[:1], u.name[:1]) {
				hint = fmt.Sprintf("did you mean %s%s?", number, u.name)
			}
		}
	}
	return 0, wrongf(hint, "%s is not a size", clip(s))
}

// String returns the size with the largest unit that it is a whole number of.
func (b Bytes) String() string {
	if b == 0 {
		return "0"
	}
	for _, u := range units {
		if b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// FormatDuration writes a duration as a person would: 24h, not 24h0m0s.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
