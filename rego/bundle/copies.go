package bundle

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"hermes-reconcile/policy"
)

// A Fetched is a fetched bundle. Its copy in the state directory is one line of JSON, then the
// text. So what is said of a bundle is never that of another one.
type Fetched struct {
	policy.Bundle
	ETag string   `json:"etag,omitempty"`
	Up   []string `json:"up,omitempty"` // profiles that ran when it came into force, while it is on trial
	Text []byte   `json:"text,omitempty"`
}

// maxCopy limits a copy, in bytes. Who writes a copy has another limit, which may shrink.
const maxCopy = 256 << 20

// A Which is one of the copies of a source: the suffix of its file.
type Which string

// The copies of a source.
const (
	InForce Which = ""
	Before  Which = ".before" // was in force before the one on trial
)

// copyName is the file of the copy of a source in the state directory.
func copyName(source string) string {
	return fmt.Sprintf("bundle-%x", sha256.Sum256([]byte(source)))[:23]
}

// ReadCopy reads a copy of a source. Who uses the text verifies it again. The error wraps
// fs.ErrNotExist if there is none, and a *trust.Error if another user than root and the caller
// could have written it.
func ReadCopy(dir, source string, which Which) (Fetched, error) {
	var c Fetched
	if dir == "" {
		return c, errors.New("state_dir is empty, so there is no place for a fetched bundle")
	}
	var err error
	c.Text, err = readCopy(filepath.Join(dir, copyName(source)+string(which)), maxCopy, &c)
	return c, err
}

// HasCopy reports whether a copy of a source is in force, and whole as far as its header tells.
func HasCopy(dir, source string) bool {
	_, err := ReadCopy(dir, source, InForce)
	return err == nil
}

// Activate puts a bundle in force, with what its verification said of it. A crash of the
// machine leaves the old or the new copy. One on trial leaves the copy before for RollBack: the
// last one that is not on trial itself.
func Activate(dir, source string, c Fetched, now time.Time) error {
	if policy.Digest(c.Text) != c.Digest {
		return errors.New("the bundle is not the one that was verified")
	}
	present, err := ReadCopy(dir, source, InForce)
	if dir == "" {
		return err
	}
	if err == nil && !c.OnTrial.IsZero() && !now.Before(present.OnTrial) && present.Digest != c.Digest {
		if err := present.write(dir, source, Before); err != nil {
			return err
		}
	}
	c.Activated = now.UTC().Truncate(time.Second)
	return c.write(dir, source, InForce)
}

// RollBack puts the copy before in force, if the bundle of a digest still is.
func RollBack(dir, source, digest, reason string, now time.Time) (policy.Bundle, error) {
	present, err := ReadCopy(dir, source, InForce)
	if err == nil && present.Digest != digest {
		err = errors.New("another revision is in force by now")
	}
	if err != nil {
		return policy.Bundle{}, err
	}
	c, err := ReadCopy(dir, source, Before)
	if err != nil {
		return policy.Bundle{}, err
	}
	c.RolledBack = &policy.RolledBack{Revision: present.Name(), Digest: digest, Reason: reason, At: now.UTC().Truncate(time.Second)}
	c.OnTrial, c.Up = time.Time{}, nil
	return c.Bundle, c.write(dir, source, InForce)
}

func (c Fetched) write(dir, source string, which Which) error {
	text := c.Text
	c.Source, c.Text = policy.ShownSource(c.Source), nil
	return writeCopy(filepath.Join(dir, copyName(source)+string(which)), c, text)
}

// AcceptFile has the revisions in the state directory that an operator lets come back.
const AcceptFile = "accepted-revision.json"

// Accept lets a bundle of a revision replace a newer one, once.
func Accept(dir, revision string) error {
	return writeCopy(filepath.Join(dir, AcceptFile), revision, nil)
}

// Accepted reports whether an operator lets a revision come back. Used, it is not accepted
// any more.
func Accepted(dir, revision string, use bool) bool {
	name := filepath.Join(dir, AcceptFile)
	var accepted string
	if _, err := readCopy(name, 0, &accepted); err != nil || accepted != revision {
		return false
	}
	if use {
		_ = os.Remove(name) // it would count once more
	}
	return true
}
