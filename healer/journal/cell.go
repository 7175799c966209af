package journal

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// cell binds one column to one field of a row's struct, in both directions. get
// gives a string, an int64 or nil, which compare with ==; set takes what a
// driver has read.
type cell struct {
	name    string
	derived bool // read, never written
	get     func() (any, error)
	set     func(any) error
}

// Scan implements sql.Scanner.
func (c cell) Scan(v any) error {
	if err := c.set(v); err != nil {
		return fmt.Errorf("column %s: %w", c.name, err)
	}
	return nil
}

// clean makes a text that every dialect keeps unchanged: valid UTF-8 without
// NUL. What is replaced shows as U+FFFD.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// asText and asWhole take what a driver gives for a column; anything else means
// that the file was written by somebody else.
func asText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	}
	return "", fmt.Errorf("got %T, want a text", v)
}

func asWhole(v any) (int64, error) {
	if n, ok := v.(int64); ok {
		return n, nil
	}
	return 0, fmt.Errorf("got %T, want a whole number", v)
}

// text is a column that is never null.
func text[S ~string](name string, p *S) cell {
	return cell{
		name: name,
		get:  func() (any, error) { return clean(string(*p)), nil },
		set: func(v any) error {
			s, err := asText(v)
			*p = S(s)
			return err
		},
	}
}

// optional is a text whose empty value is null.
func optional[S ~string](name string, p *S) cell {
	c := text(name, p)
	get, set := c.get, c.set
	c.get = func() (any, error) {
		if *p == "" {
			return nil, nil
		}
		return get()
	}
	c.set = func(v any) error {
		if v == nil {
			*p = ""
			return nil
		}
		return set(v)
	}
	return c
}

// whole is a whole number that is never null.
func whole[N ~int | ~int64](name string, p *N) cell {
	return cell{
		name: name,
		get:  func() (any, error) { return int64(*p), nil },
		set: func(v any) error {
			n, err := asWhole(v)
			*p = N(n)
			return err
		},
	}
}

// flag is 0 or 1: SQLite has no truth values.
func flag(name string, p *bool) cell {
	return cell{
		name: name,
		get: func() (any, error) {
			if *p {
				return int64(1), nil
			}
			return int64(0), nil
		},
		set: func(v any) error {
			n, err := asWhole(v)
			*p = n == 1
			return err
		},
	}
}

// moment is unix milliseconds; the zero time is null.
func moment(name string, p *time.Time) cell {
	return cell{
		name: name,
		get:  func() (any, error) { return millis(*p), nil },
		set: func(v any) error {
			*p = time.Time{}
			if v == nil {
				return nil
			}
			n, err := asWhole(v)
			*p = time.UnixMilli(n).UTC()
			return err
		},
	}
}

// millis is what moment writes.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// span is a duration in milliseconds.
func span(name string, p *time.Duration) cell {
	return cell{
		name: name,
		get:  func() (any, error) { return p.Milliseconds(), nil },
		set: func(v any) error {
			n, err := asWhole(v)
			*p = time.Duration(n) * time.Millisecond
			return err
		},
	}
}

// object is JSON; an empty map is {}.
func object[T any](name string, p *T) cell {
	return cell{
		name: name,
		get:  func() (any, error) { return encode(*p) },
		set: func(v any) error {
			s, err := asText(v)
			if err != nil {
				return err
			}
			return json.Unmarshal([]byte(s), p)
		},
	}
}

// encode gives canonical JSON: keys sorted, NUL and bad UTF-8 escaped.
func encode(v any) (string, error) {
	if m, ok := v.(map[string]any); ok {
		v = finite(m)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	if string(b) == "null" {
		return "{}", nil
	}
	return string(b), nil
}

// finite writes numbers that JSON does not know as words: a decision that could
// not tell because of a NaN must be kept with its NaN.
func finite(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = finite(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = finite(e)
		}
		return l
	}
	return v
}

// mapOf drops the empty map that {} decodes to, so that what was nil is nil again.
func mapOf[V any](name string, p *map[string]V) cell {
	c := object(name, p)
	set := c.set
	c.set = func(v any) error {
		*p = nil
		err := set(v)
		if len(*p) == 0 {
			*p = nil
		}
		return err
	}
	return c
}
