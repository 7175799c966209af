package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kingpin/v2"
)

// flagging is what flags are declared on: the program or a command of it.
type flagging interface {
	Flag(name, help string) *kingpin.FlagClause
}

// value is what a flag takes. It names the flag in its errors, which the library
// does not.
type value struct {
	name, want string
	take       func(text string) bool // false: it is not what is wanted
	text       string
}

// declare adds a flag to c that takes what is wanted.
func declare(c flagging, name, help, want string, take func(text string) bool) *kingpin.FlagClause {
	f := c.Flag(name, help)
	f.SetValue(&value{name: name, want: want, take: take})
	return f
}

// Set is part of kingpin.Value.
func (v *value) Set(text string) error {
	if !v.take(text) {
		return fmt.Errorf("--%s: want %s, got %q", v.name, v.want, text)
	}
	v.text = text
	return nil
}

// String is part of kingpin.Value.
func (v *value) String() string { return v.text }

// oneOf takes one of the words, in capitals or not.
func oneOf(into *string, words ...string) func(text string) bool {
	return func(text string) bool {
		*into = strings.ToLower(text)
		return slices.Contains(words, *into)
	}
}

// whole takes a number of 0 or more that has no fraction, in as many bits.
func whole(into *uint64, bits int) func(text string) bool {
	return func(text string) (ok bool) {
		n, err := strconv.ParseUint(text, 10, bits)
		*into = n
		return err == nil
	}
}

// seconds takes a number that may have a fraction or be negative.
func seconds(into *float64) func(text string) bool {
	return func(text string) bool {
		s, err := strconv.ParseFloat(text, 64)
		*into = s
		return err == nil && !math.IsNaN(s) && !math.IsInf(s, 0)
	}
}
