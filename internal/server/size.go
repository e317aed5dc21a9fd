package server

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// ParseSize reads a number of bytes such as "500000", "64KiB", "20 MiB", "1.5GiB" or "10MB" (10^6).
func ParseSize(text string) (int64, error) {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := strings.ToLower(text[len(number):])
	var factor float64
	switch unit {
	case "", "b":
		factor = 1
	case "k", "kib":
		factor = 1 << 10
	case "m", "mib":
		factor = 1 << 20
	case "g", "gib":
		factor = 1 << 30
	case "t", "tib":
		factor = 1 << 40
	case "tb":
		factor = 1e12
	case "kb":
		factor = 1e3
	case "mb":
		factor = 1e6
	case "gb":
		factor = 1e9
	default:
		return 0, errors.New("unknown unit " + strconv.Quote(unit))
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || math.IsNaN(v) || v < 0 || v*factor > math.MaxInt64/2 {
		return 0, errors.New("not a size")
	}
	return int64(v * factor), nil
}
