package child

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A Stream is one direction of the pipes. A message on it is a
// JSON document with texts attached:
//
//	number of texts, document, texts...
//
// The document and each text follow their length in bytes. Lengths and the number of texts
// have four bytes, the most significant first. Facts and logs are attached rather than part
// of the document, because JSON inside JSON is scanned and copied several times: that took
// a tenth of the processor time of a boot with 480 profiles. A denser format, which sent equal
// facts once, saved another 3 %. encoding/gob is not made for the input of an adversary, and
// the child runs under the agent's user.
type Stream struct {
	in    *bufio.Reader
	out   *bufio.Writer
	Limit int // of one message to be read, in bytes
}

// maxMessage bounds a message in bytes. The longest holds the runs of two ledger files, of
// which at most 64 MiB each are read.
const maxMessage = 256 << 20

// NewStream returns the stream that reads from in and writes to out.
func NewStream(in io.Reader, out io.Writer) *Stream {
	return &Stream{bufio.NewReaderSize(in, 64<<10), bufio.NewWriterSize(out, 64<<10), maxMessage}
}

// Write adds a message to those that Flush sends. An error is that of Flush, too.
func (s *Stream) Write(document any, texts ...[]byte) error {
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

func (s *Stream) writeNumber(n int) error {
	_, err := s.out.Write(binary.BigEndian.AppendUint32(s.out.AvailableBuffer(), uint32(n)))
	return err
}

func (s *Stream) Flush() error { return s.out.Flush() }

// Read reads the next message. The end of the stream before a message is io.EOF.
func (s *Stream) Read(document any) (texts [][]byte, err error) {
	left := s.Limit
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

// Texts returns a map as the texts of a message: key and value in turns.
func Texts(m map[string]json.RawMessage) [][]byte {
	texts := make([][]byte, 0, 2*len(m))
	for key, value := range m {
		texts = append(texts, []byte(key), value)
	}
	return texts
}

// Map returns the map of which a message has the texts.
func Map(texts [][]byte) map[string]json.RawMessage {
	m := make(map[string]json.RawMessage, len(texts)/2)
	for i := 0; i+1 < len(texts); i += 2 {
		m[string(texts[i])] = texts[i+1]
	}
	return m
}

// readNumber reads a number of bytes or of texts, and subtracts it from what is left of the
// message's limit.
func (s *Stream) readNumber(left *int) (int, error) {
	var four [4]byte
	if _, err := io.ReadFull(s.in, four[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint32(four[:]))
	if *left -= n; *left < 0 {
		return 0, fmt.Errorf("a message is longer than %d bytes", s.Limit)
	}
	return n, nil
}

// readText reads a text. It allocates a large one only as its bytes arrive.
func (s *Stream) readText(length int) ([]byte, error) {
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
