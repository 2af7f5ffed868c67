package remote

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// A request is what the parent asks. It is answered by any number of answers, of which
// the last is Done.
type request struct {
	Settings *Settings          `json:",omitempty"`
	Collect  bool               `json:",omitempty"`
	Execute  []policy.Operation `json:",omitempty"`
	Log      string             `json:",omitempty"` // its name; the text is the attached one
	Ledger   *string            `json:",omitempty"` // the profile
	Runs     *ledger.Query      `json:",omitempty"`
	Change   *engine.Change     `json:",omitempty"`
}

// An answer of a collection has the facts of one profile attached, and the last one
// those of the container.
type answer struct {
	Profile string          `json:",omitempty"`
	Results []result        `json:",omitempty"`
	Ledger  []ledger.Line   `json:",omitempty"`
	Runs    *ledger.Runs    `json:",omitempty"`
	Changed *engine.Changed `json:",omitempty"`
	Error   string          `json:",omitempty"`
	Done    bool            `json:",omitempty"`
}

// A result is a policy.Result; the index is that of the operation.
type result struct {
	Index int
	Done  bool
	Error string `json:",omitempty"`
}

// A message on the pipes is a JSON document with texts attached:
//
//	length of the document, document, number of texts, for each text: 2*length, text
//	                                                                or: 2*n+1
//
// Numbers are unsigned varints. The last form stands for the nth text of this stream:
// most facts of most profiles are the same, and neither has to be written, checked nor
// kept twice.
type encoder struct {
	out   io.Writer
	known map[string]uint64
	buf   bytes.Buffer // what is gathered
}

// What both ends remember is bounded by number and length; texts that repeat come early
// and are short.
const (
	maxKnown       = 4096
	maxKnownLength = 1024
)

// maxAttached bounds the texts of one message.
const maxAttached = 1024

func newEncoder(out io.Writer) *encoder { return &encoder{out: out, known: map[string]uint64{}} }

// encode writes a message with texts attached.
func (e *encoder) encode(document any, texts ...[]byte) error {
	if err := e.begin(document, len(texts)); err != nil {
		return err
	}
	for _, text := range texts {
		if err := e.literal(text); err != nil {
			return err
		}
	}
	return e.flush()
}

// encodeFacts writes a message with facts attached: name and value in turns.
func (e *encoder) encodeFacts(document any, facts policy.Facts) error {
	if err := e.begin(document, 2*len(facts)); err != nil {
		return err
	}
	for name, value := range facts {
		if n, ok := e.known[name]; ok {
			e.number(2*n + 1)
		} else if err := e.attach([]byte(name)); err != nil {
			return err
		}
		if err := e.attach(value); err != nil {
			return err
		}
	}
	return e.flush()
}

func (e *encoder) begin(document any, texts int) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	e.buf.Reset()
	e.number(uint64(len(text)))
	e.buf.Write(text)
	e.number(uint64(texts))
	return nil
}

// flush writes what was gathered.
func (e *encoder) flush() error {
	_, err := e.out.Write(e.buf.Bytes())
	e.buf.Reset()
	return err
}

func (e *encoder) number(n uint64) { e.buf.Write(binary.AppendUvarint(e.buf.AvailableBuffer(), n)) }

func (e *encoder) attach(text []byte) error {
	if n, ok := e.known[string(text)]; ok {
		e.number(2*n + 1)
		return nil
	}
	return e.literal(text)
}

// maxGathered is how long a text may be to be gathered with others. A log of many
// profiles is written from where it is.
const maxGathered = 64 << 10

func (e *encoder) literal(text []byte) error {
	if len(e.known) < maxKnown && len(text) <= maxKnownLength {
		e.known[string(text)] = uint64(len(e.known))
	}
	e.number(2 * uint64(len(text)))
	if len(text) <= maxGathered {
		e.buf.Write(text)
		return nil
	}
	if err := e.flush(); err != nil {
		return err
	}
	_, err := e.out.Write(text)
	return err
}

// A decoder reads messages. What it reads may be anybody's.
type decoder struct {
	in    *bufio.Reader
	known []attachment
}

// An attachment is a text of a message. It may be shared with other messages and must
// not be changed.
type attachment struct {
	text []byte
	json bool // it is a JSON document
}

func newDecoder(in io.Reader) *decoder { return &decoder{in: bufio.NewReaderSize(in, 64<<10)} }

// decode reads a message; the end of the stream before one is io.EOF.
func (d *decoder) decode(document any) ([]attachment, error) {
	length, err := binary.ReadUvarint(d.in)
	if err != nil {
		return nil, err
	}
	text, err := d.text(length)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, document); err != nil {
		return nil, err
	}
	n, err := binary.ReadUvarint(d.in)
	if err != nil {
		return nil, unexpected(err)
	}
	if n > maxAttached {
		return nil, fmt.Errorf("%d texts in one message, want at most %d", n, maxAttached)
	}
	attached := make([]attachment, n)
	for i := range attached {
		if attached[i], err = d.attached(); err != nil {
			return nil, err
		}
	}
	return attached, nil
}

func (d *decoder) attached() (attachment, error) {
	n, err := binary.ReadUvarint(d.in)
	if err != nil {
		return attachment{}, unexpected(err)
	}
	if n%2 == 1 {
		if n/2 >= uint64(len(d.known)) {
			return attachment{}, fmt.Errorf("text %d of %d", n/2, len(d.known))
		}
		return d.known[n/2], nil
	}
	text, err := d.text(n / 2)
	if err != nil {
		return attachment{}, err
	}
	a := attachment{text, json.Valid(text)}
	if len(d.known) < maxKnown && len(text) <= maxKnownLength {
		d.known = append(d.known, a)
	}
	return a, nil
}

// maxAtOnce bounds the memory that is made for a text on the other end's word. The
// ledger of 10,000 profiles is half as long.
const maxAtOnce = 16 << 20

func (d *decoder) text(length uint64) ([]byte, error) {
	if length <= maxAtOnce {
		text := make([]byte, length)
		_, err := io.ReadFull(d.in, text)
		return text, unexpected(err)
	}
	text, err := io.ReadAll(io.LimitReader(d.in, int64(min(length, answerLimit))))
	if err == nil && uint64(len(text)) != length {
		err = io.ErrUnexpectedEOF
	}
	return text, err
}

// unexpected turns an end of the stream in the middle of a message into an error.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// factsOf are the facts of a message. A value that is no JSON would make the input
// document none.
func factsOf(attached []attachment) (policy.Facts, error) {
	facts := make(policy.Facts, len(attached)/2)
	for i := 0; i+1 < len(attached); i += 2 {
		if !attached[i+1].json {
			return nil, fmt.Errorf("the fact %q is no JSON", attached[i].text)
		}
		facts[string(attached[i].text)] = attached[i+1].text
	}
	return facts, nil
}
