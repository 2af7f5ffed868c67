package policy

import "strconv"

// The limits of a JSON text from the volume.
const (
	maxJSONDepth    = 64
	maxJSONNumber   = 400 // digits
	maxJSONExponent = 4   // digits
)

// JSONExcess describes what in a JSON text is deeper or longer than this program reads. It
// returns "" for a text within the limits. Some readers of JSON fail on texts beyond them,
// and no gateway writes any.
func JSONExcess(data []byte) string {
	depth, digits, limit, inString := 0, 0, maxJSONNumber, false
	for i := 0; i < len(data); i++ {
		c := data[i]
		if !inString && c >= '0' && c <= '9' {
			if digits++; digits > limit {
				return "a number or exponent of more than " + strconv.Itoa(limit) + " digits"
			}
			continue
		}
		sign := (c == '+' || c == '-') && limit == maxJSONExponent && digits == 0
		if !sign {
			digits, limit = 0, maxJSONNumber
		}
		switch {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == 'e' || c == 'E':
			limit = maxJSONExponent
		case c == '[' || c == '{':
			if depth++; depth > maxJSONDepth {
				return "nested deeper than " + strconv.Itoa(maxJSONDepth)
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return ""
}
