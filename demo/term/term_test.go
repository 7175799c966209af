package term_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onefiveten/onefiveten/demo/term"
)

func TestPrinter_NoColoursWithoutATerminal(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, p := range map[string]*term.Printer{"builder": term.New(&strings.Builder{}), "file": term.New(file), "nothing": term.New(nil)} {
		if got := p.Paint(term.Red, "text"); got != "text" {
			t.Errorf("%s: got %q, want no colours", name, got)
		}
	}
}

// A terminal: its master end answers like one.
func terminal(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestPrinter_ColoursOnATerminalThatKnowsThem(t *testing.T) {
	for _, c := range []struct{ term, noColor, want string }{
		{"xterm", "", "\x1b[31mtext\x1b[0m"},
		{"dumb", "", "text"},
		{"", "", "text"},
		{"xterm", "1", "text"},
	} {
		t.Setenv("TERM", c.term)
		t.Setenv("NO_COLOR", c.noColor)
		if got := term.New(terminal(t)).Paint(term.Red, "text"); got != c.want {
			t.Errorf("TERM=%q NO_COLOR=%q: got %q, want %q", c.term, c.noColor, got, c.want)
		}
	}
}

// deaf refuses every write.
type deaf struct{}

func (deaf) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestPrinter_TellsOnceThatNobodyReads(t *testing.T) {
	p := term.New(deaf{})
	var told []error
	p.OnLost(func(err error) { told = append(told, err) })
	p.Line("one")
	p.Line("two")
	if len(told) != 1 || !errors.Is(told[0], syscall.EPIPE) {
		t.Errorf("got %v, want the refusal once", told)
	}
}

func TestPrinter_LineEndsWithoutBlanks(t *testing.T) {
	said := &strings.Builder{}
	term.New(said).Line("%-10s", "word")
	if got := said.String(); got != "word\n" {
		t.Errorf("got %q", got)
	}
}

func TestDuring_SaysHowLongItTookAndCountsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := &strings.Builder{}
		err := term.New(said).During(context.Background(), "building it", func() string { return "7 packages" }, func(context.Context) error {
			<-time.After(50 * time.Second) // of the bubble's clock
			return nil
		})
		want := "  building it                        … 20 s  7 packages\n" +
			"  building it                        … 40 s  7 packages\n" +
			"  building it                        50 s\n"
		if err != nil || said.String() != want {
			t.Errorf("got %v\n%s\nwant\n%s", err, said, want)
		}
	})
}

func TestDuring_GivesTheError(t *testing.T) {
	said, wrong := &strings.Builder{}, errors.New("wrong")
	err := term.New(said).During(context.Background(), "doing it", nil, func(context.Context) error { return wrong })
	if want := "  doing it                           did not work\n"; !errors.Is(err, wrong) || said.String() != want {
		t.Errorf("got %v, %q, want %q", err, said, want)
	}
}

func TestPrinter_LinesOfSeveralGoroutinesStayWhole(t *testing.T) {
	said := &strings.Builder{}
	p := term.New(said)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { p.Line("one whole line") })
	}
	all.Wait()
	if got, want := said.String(), strings.Repeat("one whole line\n", 20); got != want {
		t.Errorf("got %q", got)
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute: "60 s", 10200 * time.Millisecond: "10.2 s", 7 * time.Second: "7 s", 123 * time.Millisecond: "0.1 s",
	} {
		if got := term.Seconds(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}
