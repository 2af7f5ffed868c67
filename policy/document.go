package policy

import "encoding/json"

// A Version is the schema_version of a document: in JSON it is SchemaVersion.
type Version struct{}

func (Version) MarshalJSON() ([]byte, error) { return json.Marshal(SchemaVersion) }

// UnmarshalJSON accepts any version.
func (*Version) UnmarshalJSON([]byte) error { return nil }

// A Maybe is a word that people read. In JSON it is null if it says that there is nothing, or
// that nobody knows.
type Maybe string

func (m Maybe) MarshalJSON() ([]byte, error) {
	switch m {
	case "", NowNothing, NowUnknown, SlotNone, "None", "unknown":
		return []byte("null"), nil
	}
	return json.Marshal(string(m))
}
