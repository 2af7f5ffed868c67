// Package suggest finds the known word that a mistyped one was probably meant to be.
package suggest

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Nearest returns the word that was most probably meant, or "" when none is near.
func Nearest(wrong string, words []string) string {
	best, distance := "", 1+max(1, len(wrong)/3)
	for _, word := range words {
		if d := levenshtein.ComputeDistance(wrong, word); d < distance {
			best, distance = word, d
		}
	}
	return best
}

// Words ends an error about a wrong word: with the nearest word, else with all of them.
func Words(wrong string, words []string) string {
	if near := Nearest(wrong, words); near != "" {
		return fmt.Sprintf(", did you mean %q?", near)
	}
	return ", have " + strings.Join(words, ", ")
}

// All ends an error about a wrong word with the nearest word, and with all of them.
func All(wrong string, words []string) string {
	have := strings.Join(words, ", ")
	if near := Nearest(wrong, words); near != "" {
		return fmt.Sprintf(", did you mean %q? Have: %s", near, have)
	}
	return ", have: " + have
}

// Few is Words for a list that may be too long to print.
func Few(wrong string, words []string) string {
	if len(words) > 10 && Nearest(wrong, words) == "" {
		return fmt.Sprintf(", there are %d others", len(words))
	}
	return Words(wrong, words)
}
