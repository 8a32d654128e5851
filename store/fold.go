package store

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold is the one case folding of Provost: two strings are the same name when
// their folds are equal. It is full Unicode case folding over the NFKC form
// (ß = ss, ﬁ = fi, composed = decomposed), as RFC 8265 does for user names.
// Databases never fold: every folded column is filled by this function.
func Fold(s string) string {
	ascii := true
	for i := range len(s) {
		if s[i] >= 0x80 {
			ascii = false
			break
		}
	}
	if ascii {
		return strings.ToLower(s)
	}
	// Folding can undo the normal form and normalizing can undo the folding, so
	// both are repeated until nothing moves (Unicode section 3.13, R5).
	for range 4 {
		next := norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s)))
		if next == s {
			break
		}
		s = next
	}
	return s
}
