package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/provost-scim/provost/openapi"
)

// guardClasses are the classes of rule 6 as flags name them, in their order.
var guardClasses = []string{"users-deactivated", "users-deleted", "groups-deleted", "members-removed"}

// thresholdOf is where a guard keeps the threshold of a class.
func thresholdOf(g *openapi.Guard, class string) **openapi.Threshold {
	switch class {
	case "users-deactivated":
		return &g.UsersDeactivated
	case "users-deleted":
		return &g.UsersDeleted
	case "groups-deleted":
		return &g.GroupsDeleted
	case "members-removed":
		return &g.MembersRemoved
	}
	return nil
}

// parseGuard reads --guard flags, of which a later one wins.
func parseGuard(flags []string) (*openapi.Guard, error) {
	const hint = "such as --guard users-deleted=20/10%, with one of the classes users-deactivated, users-deleted, groups-deleted, members-removed, or all"
	var g openapi.Guard
	for _, flag := range flags {
		class, limit, ok := strings.Cut(flag, "=")
		count, percent, both := strings.Cut(limit, "/")
		n, countErr := strconv.Atoi(strings.TrimSpace(count))
		share, shareErr := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(percent), "%")), 64)
		if !ok || !both || countErr != nil || shareErr != nil || n < 0 || !(share >= 0 && share <= 100) {
			return nil, misused(hint, "--guard %q is no threshold", flag)
		}
		classes := []string{strings.ReplaceAll(class, "_", "-")}
		if class == "all" {
			classes = guardClasses
		}
		for _, c := range classes {
			to := thresholdOf(&g, c)
			if to == nil {
				return nil, misused(hint, "--guard %q names no class", flag)
			}
			*to = &openapi.Threshold{Count: &n, Percent: &share}
		}
	}
	return &g, nil
}

// guardPairs say when a run is held.
func guardPairs(g *openapi.Guard) [][2]string {
	if g == nil {
		return nil
	}
	var pairs [][2]string
	for _, class := range guardClasses {
		if t := *thresholdOf(g, class); t != nil {
			pairs = append(pairs, [2]string{"held if", fmt.Sprintf("%s: more than %d and more than %g %%",
				strings.ReplaceAll(class, "-", " "), value(t.Count), value(t.Percent))})
		}
	}
	return pairs
}
