package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/provost-scim/provost/openapi"
)

// parseRateLimit reads requests a second and, behind a slash, how many may come at
// once. Without the second it is the first, rounded up.
func parseRateLimit(text string) (*openapi.RateLimit, error) {
	bad := func() error {
		return misused("such as 50, 50/100, or 0 for no limit", "--rate-limit %q is no number of requests a second", text)
	}
	first, second, both := strings.Cut(text, "/")
	perSecond, err := strconv.ParseFloat(first, 64)
	if err != nil || !(perSecond >= 0 && perSecond <= 1e6) { // also what is not a number
		return nil, bad()
	}
	burst := 0
	if both {
		if burst, err = strconv.Atoi(second); err != nil || burst < 1 || burst > 1e6 {
			return nil, bad()
		}
	}
	return &openapi.RateLimit{PerSecond: &perSecond, Burst: &burst}, nil
}

func rateLimitOf(l *openapi.RateLimit) string {
	if l == nil || value(l.PerSecond) == 0 {
		return "none"
	}
	text := fmt.Sprintf("%g requests a second", *l.PerSecond)
	if n := value(l.Burst); n > 0 {
		text += fmt.Sprintf(", %d at once", n)
	}
	return text
}
