package remote

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// A request asks for one thing. The child replies with any number of answers, the last
// of which is Done.
type request struct {
	Settings *Settings          `json:",omitempty"` // the first request, which has no answer
	Collect  bool               `json:",omitempty"`
	Execute  []policy.Operation `json:",omitempty"`
	Log      string             `json:",omitempty"` // its name; the text is attached
	Ledger   *string            `json:",omitempty"` // the profile
	Runs     *ledger.Query      `json:",omitempty"`
	Change   *engine.Change     `json:",omitempty"`
}

// An answer of a collection has the facts of one profile attached; the last one has the
// facts about the container attached. The answer to another request has its value attached.
type answer struct {
	Profile string `json:",omitempty"`
	Error   string `json:",omitempty"` // of the whole request
	Done    bool   `json:",omitempty"`
}

// A result is that of one operation.
type result struct {
	Done  bool   `json:",omitempty"`
	Error string `json:",omitempty"`
}

// A stream is one direction of the pipes. A message on it is a request or an answer as
// JSON with texts attached:
//
//	number of texts, document, texts...
//
// The document and each text follow their length in bytes. Lengths and the number of texts
// have four bytes, the most significant first. Facts and logs are attached rather than part
// of the document, because JSON inside JSON is scanned and copied several times: that took
// a tenth of the processor time of a boot with 480 profiles. A denser format, which sent equal
// facts once, saved another 3 %. encoding/gob is not made for the input of an adversary, and
// the child runs under the agent's user.
type stream struct {
	in    *bufio.Reader
	out   *bufio.Writer
	limit int // of one message to be read, in bytes
}

// maxMessage bounds a message in bytes. The longest holds the runs of two ledger files, of
// which at most 64 MiB each are read.
const maxMessage = 256 << 20

func newStream(in io.Reader, out io.Writer) *stream {
	return &stream{bufio.NewReaderSize(in, 64<<10), bufio.NewWriterSize(out, 64<<10), maxMessage}
}

// write adds a message to those that flush sends. An error is that of flush, too.
func (s *stream) write(document any, texts ...[]byte) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	err = s.writeNumber(len(texts))
	for _, text := range append([][]byte{text}, texts...) {
		if err == nil {
			err = s.writeNumber(len(text))
		}
		if err == nil {
			_, err = s.out.Write(text)
		}
	}
	return err
}

func (s *stream) writeNumber(n int) error {
	_, err := s.out.Write(binary.BigEndian.AppendUint32(s.out.AvailableBuffer(), uint32(n)))
	return err
}

func (s *stream) flush() error { return s.out.Flush() }

// read reads the next message. The end of the stream before a message is io.EOF.
func (s *stream) read(document any) (texts [][]byte, err error) {
	left := s.limit
	count, err := s.readNumber(&left)
	if err != nil {
		return nil, err
	}
	for range 1 + count {
		length, err := s.readNumber(&left)
		if err != nil {
			return nil, unexpected(err)
		}
		text, err := s.readText(length)
		if err != nil {
			return nil, unexpected(err)
		}
		texts = append(texts, text)
	}
	return texts[1:], json.Unmarshal(texts[0], document)
}

// readNumber reads a number of bytes or of texts, and subtracts it from what is left of the
// message's limit.
func (s *stream) readNumber(left *int) (int, error) {
	var four [4]byte
	if _, err := io.ReadFull(s.in, four[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint32(four[:]))
	if *left -= n; *left < 0 {
		return 0, fmt.Errorf("a message is longer than %d bytes", s.limit)
	}
	return n, nil
}

// readText reads a text. It allocates a large one only as its bytes arrive.
func (s *stream) readText(length int) ([]byte, error) {
	if length <= 1<<20 {
		text := make([]byte, length)
		_, err := io.ReadFull(s.in, text)
		return text, err
	}
	text, err := io.ReadAll(io.LimitReader(s.in, int64(length)))
	if err == nil && len(text) < length {
		err = io.EOF
	}
	return text, err
}

// unexpected turns an end of the stream into an error, for one in the middle of a message.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// writeFacts writes a message with facts attached: name and value in turns.
func (s *stream) writeFacts(document any, facts policy.Facts) error {
	texts := make([][]byte, 0, 2*len(facts))
	for name, value := range facts {
		texts = append(texts, []byte(name), value)
	}
	return s.write(document, texts...)
}

// factsOf returns the facts that are attached to a message.
func factsOf(texts [][]byte) (policy.Facts, error) {
	facts := make(policy.Facts, len(texts)/2)
	for i := 0; i+1 < len(texts); i += 2 {
		if !json.Valid(texts[i+1]) {
			return nil, fmt.Errorf("the fact %q is not valid JSON", texts[i])
		}
		facts[string(texts[i])] = texts[i+1]
	}
	return facts, nil
}
