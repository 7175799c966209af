package backtest

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// all reads to the end.
func all(t *testing.T, from Source) (samples []Sample) {
	t.Helper()
	for {
		s, err := from.Read()
		if errors.Is(err, io.EOF) {
			return samples
		}
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, s)
	}
}

func TestReader_ReadsEveryFormOfATimestamp(t *testing.T) {
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"0": "1970-01-01T00:00:00Z", "-1.5": "1969-12-31T23:59:58.5Z", "1700000000": "2023-11-14T22:13:20Z", "1700000000.123456789": "2023-11-14T22:13:20.123456789Z", "1700000000.1234567891": "2023-11-14T22:13:20.123456789Z", " 1700000000 ": "2023-11-14T22:13:20Z", "4294967296": "2106-02-07T06:28:16Z",
		"2023-11-14T22:13:20Z": "2023-11-14T22:13:20Z", "2023-11-14t22:13:20.5z": "2023-11-14T22:13:20.5Z", "2023-11-15T06:13:20+08:00": "2023-11-14T22:13:20Z", "2023-11-14T13:43:20.000001-08:30": "2023-11-14T22:13:20.000001Z", "2023-11-14 22:13:20+00:00": "2023-11-14T22:13:20Z",
		"2023-11-15 06:13:20": "2023-11-14T22:13:20Z", "2023-11-15 06:13:20.250000": "2023-11-14T22:13:20.25Z", "2023-11-15T06:13:20": "2023-11-14T22:13:20Z", "2024-02-29 08:00:00": "2024-02-29T00:00:00Z",
	} {
		got := all(t, NewReader(strings.NewReader(text+",1\n"), shanghai))
		if len(got) != 1 || got[0].At.Format(time.RFC3339Nano) != want {
			t.Errorf("%s: got %v, want %s", text, got, want)
		}
	}
}

func TestReader_TakesWhatFilesLookLike(t *testing.T) {
	at := time.Unix(1700000000, 0).UTC()
	want := []Sample{{At: at, Value: 1.5}, {At: at.Add(time.Second), Value: -2e3}}
	labelled := []Sample{{At: at, Value: 1.5, Label: Normal}, {At: at.Add(time.Second), Value: -2e3, Label: Faulty}}
	for text, want := range map[string][]Sample{
		"1700000000,1.5\n1700000001,-2e3\n":                                                 want,
		"timestamp,value\n1700000000,1.5\n1700000001,-2e3":                                  want, // no end of line at the end
		"\ufeffTime,Value\r\n1700000000,1.5\r\n1700000001,-2e3":                             want,
		"\ufeff1700000000,1.5\n\n1700000001,-2e3\n\n":                                       want,
		"\"1700000000\",\"1.5\"\n1700000001, -2e3 \n":                                       want,
		"\ufeff\"Time\",\"Value\"\r\n\"1700000000\",\"1.5\"\r\n\"1700000001\",\"-2e3\"\r\n": want,
		"\ufeff\"1700000000\",1.5\n1700000001,-2e3\n":                                       want,
		"t,v,l\n1700000000,1.5,0\n1700000001,-2e3,1\n":                                      labelled,
		"t,v,l\n1700000000,1.5,\n1700000001,-2e3,true\n":                                    labelled,
		"t,v,l\n1700000000,1.5,FALSE\n1700000001,-2e3,1.0\n":                                labelled,
		"": nil, "timestamp,value\n": nil,
	} {
		if diff := cmp.Diff(want, all(t, NewReader(strings.NewReader(text), nil))); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestReader_GivesWhatIsNoNumberForSigmaToRefuse(t *testing.T) {
	got := all(t, NewReader(strings.NewReader("1,\n2,NaN\n3,null\n4,+Inf\n5,-1e999\n6,nan\n"), nil))
	if len(got) != 6 {
		t.Fatalf("got %v", got)
	}
	for i, want := range []float64{math.NaN(), math.NaN(), math.NaN(), math.Inf(1), math.Inf(-1), math.NaN()} {
		if v := got[i].Value; v != want && !(math.IsNaN(v) && math.IsNaN(want)) {
			t.Errorf("line %d: got %v, want %v", i+1, v, want)
		}
	}
}

// What messages end with.
const (
	wantColumns = "; want timestamp,value or timestamp,value,label"
	wantForms   = "; want " + Forms
)

// bad are lines that are no samples, and what is said of each.
var bad = map[string]string{
	"1700000000":                   "columns: got 1, want timestamp,value or timestamp,value,label",
	"1,2,3":                        `the label is "3", want 1 in a fault and 0 elsewhere`,
	"1,2,0,4":                      "columns: got 4, want timestamp,value or timestamp,value,label",
	"1700000000;5":                 "the columns are set apart by ';'; want commas: timestamp,value or timestamp,value,label",
	"1700000000\t5":                `the columns are set apart by '\t'; want commas: timestamp,value or timestamp,value,label`,
	"1700000000;5,25":              "the columns are set apart by ';'; want commas: timestamp,value or timestamp,value,label",
	"1,x":                          `the value is "x", want a number`,
	"1,1 000":                      `the value is "1 000", want a number`,
	"1700000000000,1":              "the timestamp 1700000000000 is in milliseconds, or beyond the year 2106" + wantForms,
	"2023-02-29 00:00:00,1":        `the timestamp is "2023-02-29 00:00:00"` + wantForms,
	"2023-00-10 00:00:00,1":        `the timestamp is "2023-00-10 00:00:00"` + wantForms,
	"2023-01-10 24:00:00,1":        `the timestamp is "2023-01-10 24:00:00"` + wantForms,
	"2023-01-10 00:00,1":           `the timestamp is "2023-01-10 00:00"` + wantForms,
	"2023-01-10T00:00:00+0100,1":   `the timestamp is "2023-01-10T00:00:00+0100"` + wantForms,
	"10/01/2023 00:00:00,1":        `the timestamp is "10/01/2023 00:00:00"` + wantForms,
	"1.7e9,1":                      `the timestamp is "1.7e9"` + wantForms,
	"1700000000.,1":                `the timestamp is "1700000000."` + wantForms,
	",1":                           `the timestamp is ""` + wantForms,
	strings.Repeat("9", 99) + ",1": `the timestamp is "9999999999999999999999999999999999999999…"` + wantForms,
	`1,"2" x`:                      `extraneous or missing " in quoted-field` + wantColumns,
}

func TestReader_NamesTheLineAndTheForms(t *testing.T) {
	for line, what := range bad {
		r := NewReader(strings.NewReader("timestamp,value\n1,1\n\n"+line+"\n9,9\n"), nil)
		_, err := r.Read()
		if err == nil {
			_, err = r.Read()
		}
		want := "line 4: " + what
		if err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", line, err, want)
		}
	}
}

func TestReader_SkipsBadLinesWhereThatIsWanted(t *testing.T) {
	text := "timestamp,value\n1,1\n"
	for line := range bad {
		text += line + "\n"
	}
	r := NewReader(strings.NewReader(text+"2,2\n"), nil)
	r.SkipBad = true
	if got := all(t, r); len(got) != 2 || got[1].Value != 2 || r.Bad != uint64(len(bad)) || r.FirstAt != 3 {
		t.Errorf("got %v, %d bad lines from line %d on; want 2 samples, %d from line 3 on", got, r.Bad, r.FirstAt, len(bad))
	}
}

// A first line with a number in it is no header: it is a sample with a mistake.
func TestReader_AMistakeInTheFirstLineIsNoHeader(t *testing.T) {
	for _, line := range []string{"1.7e9,1", "10/01/2023,5", "1,x", "a,1", ",", "time,-"} {
		if _, err := NewReader(strings.NewReader(line+"\n1,1\n"), nil).Read(); err == nil || !strings.HasPrefix(err.Error(), "line 1: ") {
			t.Errorf("%s: got %v, want an error of line 1", line, err)
		}
	}
}

// endless is a text without an end.
type endless string

func (e endless) Read(p []byte) (int, error) {
	return copy(p, strings.Repeat(string(e), len(p)/len(e)+1)), nil
}

func TestReader_ALineWithoutAnEndIsAnError(t *testing.T) {
	for _, text := range []func() io.Reader{
		func() io.Reader { return endless("1") }, func() io.Reader { return endless("a,") },
		func() io.Reader { return io.MultiReader(strings.NewReader("1,1\n2,\""), endless("3,3\n")) },
	} {
		for _, skip := range []bool{false, true} {
			r := NewReader(text(), nil)
			r.SkipBad = skip
			var err error
			for range 3 {
				if _, err = r.Read(); err != nil {
					break
				}
			}
			if err == nil || !strings.Contains(err.Error(), "a line has more than 64 KiB: is this CSV, and is every quote closed?") {
				t.Errorf("got %v", err)
			}
		}
	}
}

func TestReader_TellsWhyItCannotRead(t *testing.T) {
	r := NewReader(io.MultiReader(strings.NewReader("1,1\n"), failing{}), nil)
	r.SkipBad = true
	if s, err := r.Read(); err != nil || s.Value != 1 {
		t.Fatalf("got %v, %v", s, err)
	}
	if _, err := r.Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want that of the file", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// FuzzParseTime: what time.Parse reads of the same forms is the same instant, and
// what it refuses is refused.
func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{"2023-11-14T22:13:20Z", "2023-11-14 22:13:20", "2023-11-14 22:13:20.123456", "2023-11-14T22:13:20.5+08:00", "2024-02-29 23:59:59-00:00", "1700000000.25", "-1", "0000-01-01 00:00:00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) < 19 || text[13] != ':' || strings.Contains(text, "  ") {
			return // time.Parse takes an hour of one digit
		}
		got, err := ParseTime(text, time.UTC)
		for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05"} {
			want, other := time.Parse(layout, text)
			if other == nil && !strings.Contains(text, ",") && (err != nil || !got.Equal(want)) && len(text) < 30 {
				t.Fatalf("%q: got %v, %v, want %v", text, got, err, want)
			}
			if other == nil {
				return
			}
		}
		if err == nil && len(text) >= 19 && text[4] == '-' && text[7] == '-' && !strings.ContainsAny(text, "tz") {
			t.Fatalf("%q: got %v, which time.Parse refuses", text, got)
		}
	})
}

// FuzzReader: whatever stands in a file, reading ends, an error names a line, and
// what was read is read again from what would be written.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{"timestamp,value\n1,1\n", "\ufeff1,2,1\r\n2,3,0\r\n", "\"1\",\"2\"\n", "1,\"2\n", "2023-11-14 22:13:20.5,1e-3\n", "2023-11-14T22:13:20+08:00,NaN\n", ",\n", "1,1\n\n\n2,"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, skip bool) {
		r := NewReader(strings.NewReader(text), nil)
		r.SkipBad = skip
		for n := 0; ; n++ {
			s, err := r.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				if skip && strings.HasPrefix(err.Error(), "line ") {
					t.Fatalf("a bad line was not skipped: %v", err)
				}
				return
			}
			if n > strings.Count(text, "\n")+strings.Count(text, "\r")+1 {
				t.Fatal("more samples than lines")
			}
			again, err := ParseTime(s.At.UTC().Format(time.RFC3339Nano), nil)
			if err != nil || !again.Equal(s.At) {
				t.Fatalf("%v is read again as %v, %v", s.At, again, err)
			}
		}
	})
}

// What a file of another kind is, is told before its bytes are taken for lines,
// whether or not bad lines are skipped.
func TestReader_NamesAFileOfAnotherKind(t *testing.T) {
	for text, want := range map[string]string{
		"\x1f\x8b\x08\x00":        "this is compressed by gzip; want CSV: zcat FILE | probe-exporter backtest -",
		"\xff\xfe1\x00,\x001\x00": "this is UTF-16; want CSV in UTF-8: iconv -f UTF-16 -t UTF-8 FILE | probe-exporter backtest -",
	} {
		r := NewReader(strings.NewReader(text), nil)
		r.SkipBad = true
		if _, err := r.Read(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := NewReader(strings.NewReader("1"), nil).Read(); err == nil || !strings.HasPrefix(err.Error(), "line 1: ") {
		t.Errorf("one byte: got %v", err)
	}
}
